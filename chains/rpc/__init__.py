"""JSON-RPC to EVM chains: bounded, retried, failed over, and agreed by k of n endpoints."""

from __future__ import annotations

from chains.rpc.chain import Agreement, Chain
from chains.rpc.endpoint import Endpoint, EndpointStats, Request, RpcSettings
from chains.rpc.errors import EndpointError, RpcError
from chains.rpc.health import Probed, probe_endpoints
from chains.rpc.hosts import PrivateHosts
from chains.rpc.text import clean_text, mask_url

__all__ = [
    "Agreement",
    "Chain",
    "Endpoint",
    "EndpointError",
    "EndpointStats",
    "PrivateHosts",
    "Probed",
    "Request",
    "RpcError",
    "RpcSettings",
    "clean_text",
    "mask_url",
    "probe_endpoints",
]
