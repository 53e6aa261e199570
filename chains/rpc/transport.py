"""The one seam to the network: bytes out, bytes back, within a time and a size.

web3's own HTTP provider logs full URLs at debug level and reads answers of any size into memory, so requests
go through aiohttp here; `chains.rpc.provider` puts the result under an `AsyncWeb3`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp

from aggregator.model.errors import ConfigError
from chains.rpc.errors import EndpointError
from chains.rpc.hosts import PrivateHosts, PublicResolver, names_this_machine
from chains.rpc.text import clean_text, mask_url, scrub, secrets_of

_CHUNK: Final = 1 << 16
_HEADERS: Final = {"Content-Type": "application/json", "Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer: status, body, and the seconds of a Retry-After header (0 without one)."""

    status: int
    body: bytes
    retry_after_s: float


class Transport(Protocol):
    """Posts one body and returns the reply; raises EndpointError."""

    async def post(self, body: bytes) -> Reply:
        """Send `body`, wait for the whole reply."""

    async def close(self) -> None:
        """Release connections."""


def check_url(url: str) -> None:
    """Raise ConfigError, with the URL masked, unless `url` is a well-formed http or https URL."""
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed or any(c.isspace() for c in url):
        raise ConfigError(f"the endpoint {mask_url(url)} is not an http or https URL; correct it")


class HttpTransport:
    """POST over HTTP or HTTPS. Redirects are not followed: they would carry the key to another host."""

    def __init__(
        self, url: str, *, timeout_s: float, max_bytes: int, private: PrivateHosts = PrivateHosts.ALLOW
    ) -> None:
        self._url = url
        self._name = mask_url(url)
        self._secrets = secrets_of(url)
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        own = private is PrivateHosts.LOOPBACK and names_this_machine(urlsplit(url).hostname or "")
        self._public_only = private is not PrivateHosts.ALLOW and not own
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes) -> Reply:
        """Send `body`; raises EndpointError, never with the URL in it."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=PublicResolver() if self._public_only else None),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                headers=_HEADERS,
            )
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                received = bytearray()
                async for chunk in response.content.iter_chunked(_CHUNK):
                    received += chunk
                    if len(received) > self._max_bytes:
                        raise EndpointError(
                            self._name, f"sent more than {self._max_bytes} bytes; ask for less", too_big=True
                        )
                retry_after = response.headers.get("Retry-After", "")
                return Reply(
                    response.status, bytes(received), float(retry_after) if retry_after.isdecimal() else 0.0
                )
        except TimeoutError:
            raise EndpointError(
                self._name, f"did not answer in {self._timeout_s:g} s", transient=True
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            words = getattr(cause, "strerror", None) or str(cause) or type(error).__name__
            reason = clean_text(scrub(words, self._secrets))
            raise EndpointError(self._name, f"cannot be reached ({reason})", transient=True) from None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
