"""Policies: built from a spec and prices, checked against W1-W7, encoded as canonical JSON."""

from __future__ import annotations

from aggregator.policy.check import check_policy
from aggregator.policy.codec import POLICY_SCHEMA, encode_policy, parse_policy, policy_json

__all__ = ["POLICY_SCHEMA", "check_policy", "encode_policy", "parse_policy", "policy_json"]
