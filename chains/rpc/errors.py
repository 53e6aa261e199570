"""What one endpoint can do wrong, as two refinements of the shared error tree.

ChainError
|-- ChainUnreachableError
|   `-- EndpointError      one endpoint gave no usable answer (connection, timeout, HTTP status, not JSON-RPC)
`-- RpcError               one endpoint answered with a JSON-RPC error
"""

from __future__ import annotations

from typing import Final

from aggregator.model.errors import ChainError, ChainUnreachableError

REVERT_CODE: Final = 3
"""Code of "execution reverted" with data (execution-apis, eth_call)."""
METHOD_NOT_FOUND: Final = -32601
RATE_LIMIT_CODES: Final = frozenset({-32005, 429})
"""EIP-1474 "limit exceeded", and the HTTP status that some servers repeat in the body."""


class EndpointError(ChainUnreachableError):
    """One endpoint gave no usable answer."""

    def __init__(self, endpoint: str, reason: str, *, transient: bool = False, too_big: bool = False) -> None:
        """`transient`: worth another attempt. `too_big`: the request or its answer passed a size limit."""
        super().__init__(f"the endpoint {endpoint} {reason}")
        self.endpoint = endpoint
        self.reason = reason
        self.transient = transient
        self.too_big = too_big
        self.retry_after_s = 0.0


class RpcError(ChainError):
    """One endpoint answered a request with a JSON-RPC error."""

    def __init__(self, endpoint: str, method: str, code: int, message: str, data: object = None) -> None:
        super().__init__(f"the endpoint {endpoint} refused {method}: {message} (code {code})")
        self.endpoint = endpoint
        self.method = method
        self.code = code
        self.message = message
        self.data = data

    @property
    def reverted(self) -> bool:
        """True when the EVM ran the call and it reverted: another endpoint would say the same."""
        return self.code == REVERT_CODE or "revert" in self.message.lower()

    @property
    def rate_limited(self) -> bool:
        """True when the same request may succeed a little later."""
        return self.code in RATE_LIMIT_CODES

    @property
    def unsupported(self) -> bool:
        """True when the endpoint does not offer the method at all."""
        return self.code == METHOD_NOT_FOUND or "not supported" in self.message.lower()
