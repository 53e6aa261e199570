"""A signer in another process or machine: anything that answers `eth_signTransaction` (execution-apis, "sign").

Web3Signer and Clef do, and they hold keys in a cloud KMS, an HSM or a hardware wallet. What comes back is not trusted:
it must be the very transaction that was asked for, signed by the address that was named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import rlp
from eth_account import Account
from eth_keys.exceptions import BadSignature
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from requests import RequestException
from rlp.exceptions import RLPException
from web3 import HTTPProvider
from web3.exceptions import Web3Exception

from aggregator.model.errors import KeyFileError, TransactionError
from chains.relayer.signer import SignedTransaction
from chains.rpc.text import clean_text

TIMEOUT_S: Final = 20
_TYPE: Final = 2
"""EIP-1559, the only type the relayer makes."""
_FIELDS: Final = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "data")
_SIGNED_LENGTH: Final = len(_FIELDS) + 4
"""An access list, and the signature (y parity, r, s)."""
_ANSWER_LIMIT: Final = 1 << 20


class RemoteSigner:
    """Asks a signer over HTTP. Its URL, which may carry a token, is in no message and no `repr`."""

    def __init__(self, address: str, url: str) -> None:
        """`address` is whose key it holds; `url` where it listens (http or https)."""
        if not url.startswith(("http://", "https://")):
            raise KeyFileError("the remote signer's URL does not begin with http:// or https://; correct it")
        self._address = to_checksum_address(address)
        self._provider = HTTPProvider(
            url, request_kwargs={"timeout": TIMEOUT_S}, exception_retry_configuration=None
        )

    def __repr__(self) -> str:
        return f"RemoteSigner({self._address})"

    @property
    def address(self) -> str:
        """Checksummed address of the sender."""
        return self._address

    def sign(self, transaction: Mapping[str, Any]) -> SignedTransaction:
        """Have an EIP-1559 transaction signed.

        Raises:
            TransactionError: the signer does not answer, refuses, or signed something else.
        """
        request = {"from": self._address, **{name: _quantity(value) for name, value in transaction.items()}}
        try:
            answer: Mapping[str, Any] = self._provider.make_request("eth_signTransaction", [request])
        except (RequestException, Web3Exception, OSError, ValueError) as error:
            # Without the cause: it says the URL.
            raise TransactionError(
                f"the remote signer of {self._address} does not answer ({type(error).__name__}); nothing was sent; "
                "see that it runs and try again"
            ) from None
        if answer.get("error"):
            raise TransactionError(
                f"the remote signer refused to sign for {self._address} "
                f"({_text(answer['error'])}); nothing was sent; see its log"
            )
        return _checked(answer.get("result"), transaction, self._address)


def _checked(result: object, asked: Mapping[str, Any], address: str) -> SignedTransaction:
    """What the signer gave, when it is what was asked for."""
    if isinstance(result, Mapping):
        # go-ethereum's form: {"raw": .., "tx": ..}
        result = result.get("raw")
    try:
        raw, fields = _decoded(str(result))
        signer = Account.recover_transaction(raw)
    except (ValueError, TypeError, KeyError, RLPException, ValidationError, BadSignature) as error:
        raise TransactionError(
            f"the remote signer of {address} gave no signed EIP-1559 transaction; nothing was sent; see its log"
        ) from error
    given = dict(zip(_FIELDS, fields, strict=False))
    for name in _FIELDS:
        if given[name] != _wire(asked.get(name)):
            raise TransactionError(
                f"the remote signer of {address} signed another {name} than was asked for; nothing was sent; "
                "do not use it until this is explained"
            )
    if signer.lower() != address.lower():
        raise TransactionError(
            f"the remote signer signed with the key of {signer}, not of {address}; nothing was sent; "
            "name the address whose key it holds"
        )
    return SignedTransaction(raw, "0x" + keccak(raw).hex())


def _decoded(text: str) -> tuple[bytes, list[Any]]:
    """Raw bytes and fields of a signed EIP-1559 transaction without an access list; raises ValueError."""
    raw = bytes.fromhex(text.removeprefix("0x")) if len(text) <= _ANSWER_LIMIT else b""
    fields = rlp.decode(raw[1:], strict=True) if raw and raw[0] == _TYPE else None
    if not isinstance(fields, list) or len(fields) != _SIGNED_LENGTH or fields[len(_FIELDS)] != []:
        raise ValueError("not of this form")
    return raw, fields


def _wire(value: Any) -> bytes:
    """A field as RLP has it: big-endian without leading zeros, or the bytes themselves."""
    if value is None:
        return b""
    if isinstance(value, int):
        return value.to_bytes((value.bit_length() + 7) // 8, "big")
    if isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x"))
    return bytes(value)


def _quantity(value: Any) -> Any:
    """A field as JSON-RPC has it."""
    if isinstance(value, int):
        return hex(value)
    return value if isinstance(value, str) else "0x" + bytes(value).hex()


def _text(error: Any) -> str:
    message = error.get("message", "no reason given") if isinstance(error, Mapping) else error
    return clean_text(str(message))
