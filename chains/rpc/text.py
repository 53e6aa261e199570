"""Text that may be shown: URLs without their keys, and strings from strangers without their tricks.

An RPC URL usually carries an API key in its path, query or user part, so only scheme, host and port are
ever printed. What a server or a token contract says is untrusted: control characters could rewrite a
terminal line.
"""

from __future__ import annotations

import unicodedata
from typing import Final
from urllib.parse import parse_qsl, urlsplit

MASK: Final = "***"
_SECRET_LENGTH: Final = 6
"""Path segments and query values shorter than this ("v2", "rpc") are not taken for secrets."""


def mask_url(url: str) -> str:
    """`url` as scheme, host and port; anything after that, and any user part, becomes `***`."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return f"malformed URL {MASK}"
    host = parts.hostname or "?"
    host = f"[{host}]" if ":" in host else host
    rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password
    return f"{parts.scheme or '?'}://{host}{port}" + (f"/{MASK}" if rest else "")


def secrets_of(url: str) -> tuple[str, ...]:
    """The parts of `url` that must not be shown, longest first."""
    parts = urlsplit(url)
    found = {part for part in parts.path.split("/") if len(part) >= _SECRET_LENGTH}
    found |= {value for _, value in parse_qsl(parts.query) if len(value) >= _SECRET_LENGTH}
    found |= {part for part in (parts.username, parts.password) if part}
    if parts.path.strip("/") or parts.query:
        found |= {url, parts.path + (f"?{parts.query}" if parts.query else "")}
    return tuple(sorted(found, key=len, reverse=True))


def scrub(text: str, secrets: tuple[str, ...]) -> str:
    """`text` with every one of `secrets` replaced."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def clean_text(text: str, limit: int = 200) -> str:
    """`text` on one line, without control, format (bidirectional) or private characters, cut at `limit`."""
    kept = (c if unicodedata.category(c)[0] not in "CZ" else " " for c in text[: 4 * limit])
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
