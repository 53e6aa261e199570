"""API keys: `cf_<id>_<secret>`, of which only the id and the secret's SHA-256 are stored."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from typing import Final

from aggregator.model.errors import InputError
from aggregator.store.callers import ApiKey

SCOPES: Final = ("read", "write", "verify", "attest", "relay", "metrics", "admin")
"""What a key may do; `admin` is for webhooks and grants nothing else."""
_KEY: Final = re.compile(r"cf_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_NO_HASH: Final = "0" * 64


def new_key(name: str, scopes: Sequence[str], rate_per_minute: int, now: int) -> tuple[ApiKey, str]:
    """A new key and its text, which is shown once. Raises InputError for a scope that there is not."""
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise InputError(f"there is no scope {unknown[0]!r}; use some of {', '.join(SCOPES)}")
    if not scopes:
        raise InputError(f"a key without a scope opens nothing; give some of {', '.join(SCOPES)}")
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    key = ApiKey(
        id=secrets.token_hex(_ID_BYTES),
        name=name,
        hash=_hash(secret),
        scopes=tuple(sorted(set(scopes))),
        rate_per_minute=rate_per_minute,
        created_at=now,
    )
    return key, f"cf_{key.id}_{secret}"


def find_key(text: str, known: Sequence[ApiKey]) -> ApiKey | None:
    """The key that `text` is, None when it is none or was revoked. Takes as long for a wrong secret as for none."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    found = next((key for key in known if key.id == match[1] and key.revoked_at is None), None)
    right = hmac.compare_digest(_hash(match[2]), _NO_HASH if found is None else found.hash)
    return found if right else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()
