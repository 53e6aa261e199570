"""What an address signs about itself, EIP-712 in the protocol's domain: that it joins an account, and that it leaves.

A link ends by itself at its expiry. A revocation ends every link that the address signed until then, to whichever
account, so that it can be made without knowing what somebody else was tricked into signing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

from eth_account.messages import SignableMessage
from eth_account.signers.local import LocalAccount

from aggregator.model.errors import ExpiredError, ProofRefusedError
from chains.typed_data import DOMAIN, digest, recover, signable

DAY_S: Final = 86_400
DEFAULT_LINK_DAYS: Final = 90
MAX_LINK_DAYS: Final = 365
MAX_CLOCK_SKEW_S: Final = 300

Types = dict[str, list[dict[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(ABC):
    """What `owner` (lower-case 0x) signed at `issued_at` (Unix seconds)."""

    owner: str
    issued_at: int

    types: ClassVar[Types]
    name: ClassVar[str]
    """What messages call it."""

    @abstractmethod
    def fields(self) -> dict[str, int | str]:
        """The message, by the names of its type."""

    def typed_data(self) -> dict[str, object]:
        """The message as wallets take it (eth_signTypedData_v4): numbers as decimal strings."""
        (primary,) = self.types
        domain = [{"name": key, "type": "string"} for key in DOMAIN]
        return {
            "types": {"EIP712Domain": domain, **self.types},
            "domain": DOMAIN,
            "primaryType": primary,
            "message": {key: str(value) for key, value in self.fields().items()},
        }

    def signable(self) -> SignableMessage:
        """The message ready to sign."""
        return signable(self.types, self.fields())

    def digest(self) -> bytes:
        """The 32 bytes the owner signs."""
        return digest(self.signable())

    def signer(self, signature: bytes) -> str:
        """Who signed; raises ProofRefusedError when the signature is not canonical or of no key."""
        return recover(self.signable(), signature)

    def sign(self, account: LocalAccount) -> bytes:
        """The owner's signature, 65 bytes. Raises ProofRefusedError when `account` is not the owner."""
        if account.address.lower() != self.owner:
            raise ProofRefusedError(
                f"the key of {account.address.lower()} cannot sign the {self.name} of {self.owner}; "
                "use that address's key"
            )
        return bytes(account.sign_message(self.signable()).signature)

    def check_time(self, now: int) -> None:
        """Returns when it holds at `now` (Unix seconds); raises ProofRefusedError and ExpiredError."""
        if self.issued_at > now + MAX_CLOCK_SKEW_S:
            raise ProofRefusedError(
                f"the {self.name} of {self.owner} is issued in the future; check the clock of its signer"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Link(Statement):
    """An address's statement that it belongs to an account until `expiry` (Unix seconds)."""

    account_id: int
    expiry: int

    name = "link"
    types: ClassVar[Types] = {
        "Link": [
            {"name": "accountId", "type": "uint256"},
            {"name": "owner", "type": "address"},
            {"name": "issuedAt", "type": "uint64"},
            {"name": "expiry", "type": "uint64"},
        ]
    }

    def fields(self) -> dict[str, int | str]:
        """Account, owner and both times."""
        return {
            "accountId": self.account_id,
            "owner": self.owner,
            "issuedAt": self.issued_at,
            "expiry": self.expiry,
        }

    def check_time(self, now: int) -> None:
        """Also refuses a link that ran out, or that was signed for longer than `MAX_LINK_DAYS`."""
        Statement.check_time(self, now)
        if not self.issued_at < self.expiry <= self.issued_at + MAX_LINK_DAYS * DAY_S:
            raise ProofRefusedError(
                f"the link of {self.owner} does not run out between a second and {MAX_LINK_DAYS} days after it was "
                "signed; sign one that does"
            )
        if now > self.expiry:
            raise ExpiredError(
                f"the link of {self.owner} ran out {now - self.expiry} s ago; have the address sign a new one"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlink(Statement):
    """An address's statement that no link it signed until `issued_at` holds any more."""

    name = "revocation"
    types: ClassVar[Types] = {
        "Unlink": [{"name": "owner", "type": "address"}, {"name": "issuedAt", "type": "uint64"}]
    }

    def fields(self) -> dict[str, int | str]:
        """Owner and time."""
        return {"owner": self.owner, "issuedAt": self.issued_at}
