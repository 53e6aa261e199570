"""JSON-RPC to EVM chains: bounded, retried, failed over, and agreed by k of n endpoints."""

from __future__ import annotations

from chains.rpc.chain import Agreement, Chain
from chains.rpc.endpoint import Endpoint, EndpointStats, Request, RpcSettings
from chains.rpc.errors import EndpointError, RpcError
from chains.rpc.text import clean_text, mask_url

__all__ = [
    "Agreement",
    "Chain",
    "Endpoint",
    "EndpointError",
    "EndpointStats",
    "Request",
    "RpcError",
    "RpcSettings",
    "clean_text",
    "mask_url",
]
