"""An `AsyncWeb3` on top of a `Chain`, for the parts web3 has: contracts by ABI, transactions, filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

from web3 import AsyncWeb3
from web3.providers.async_base import AsyncJSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from chains.rpc.errors import RpcError


class Caller(Protocol):
    """What the provider needs: `Endpoint` and `Chain` both have it."""

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        """The result of one request."""


class ChainProvider(AsyncJSONBaseProvider):
    """web3 provider that sends requests through an `Endpoint` or a `Chain` (failover, limits, masking)."""

    def __init__(self, source: Caller) -> None:
        super().__init__()
        self._source = source

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One request in web3's response shape; RPC errors are returned, transport errors raised."""
        try:
            result = await self._source.call(method, list(params))
        except RpcError as error:
            body = {"code": error.code, "message": error.message, "data": error.data}
            return cast(RPCResponse, {"jsonrpc": "2.0", "id": 0, "error": body})
        return cast(RPCResponse, {"jsonrpc": "2.0", "id": 0, "result": result})


def web3_on(source: Caller) -> AsyncWeb3[Any]:
    """An `AsyncWeb3` whose requests go through `source`."""
    return AsyncWeb3(ChainProvider(source))
