"""snarkjs JSON: proof.json, public.json and verification_key.json to and from our bytes.

`parse_*` reads untrusted values: shapes, decimal strings without leading zeros, and ranges. Whether points are on the
curve is for the verifiers. Source: snarkjs 0.7 `groth16_prove.js`, `zkey_export_verificationkey.js`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from aggregator.model.errors import FormatError
from circuits import _native
from circuits.field import MODULUS
from circuits.formats import layout

PROTOCOL: Final = "groth16"
CURVE: Final = "bn128"
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,77}")


def parse_proof(value: object, where: str = "proof.json") -> bytes:
    """Our 256 bytes of a proof.json, which is at `where`.

    Raises: FormatError naming the place, the field and the reason.
    """
    proof = _header(value, where)
    a = _g1(proof, "pi_a", where)
    b = _g2(proof, "pi_b", where)
    c = _g1(proof, "pi_c", where)
    return layout.join([*a, *b, *c])


def encode_proof(proof: bytes) -> dict[str, Any]:
    """proof.json of our 256 bytes."""
    if not layout.is_proof_length(len(proof)):
        raise FormatError(f"the proof has {len(proof)} bytes, not 256: it is cut off or not a proof")
    w = layout.words(proof)
    return {
        "pi_a": _encode_g1(w[0:2]),
        "pi_b": _encode_g2(w[2:6]),
        "pi_c": _encode_g1(w[6:8]),
        "protocol": PROTOCOL,
        "curve": CURVE,
    }


def parse_public(value: object) -> list[int]:
    """Public inputs of a public.json, each below r.

    Raises: FormatError naming the field and the reason.
    """
    if not isinstance(value, list):
        raise FormatError("public.json: it is not a list of decimal strings")
    return [_number(x, MODULUS, f"public.json: input {i}") for i, x in enumerate(value)]


def encode_public(values: Sequence[int]) -> list[str]:
    """public.json of public inputs."""
    return [str(value) for value in values]


def parse_verification_key(value: object) -> bytes:
    """Our bytes of a verification_key.json. `vk_alphabeta_12` is not read: it follows from alpha and beta.

    Raises: FormatError naming the field and the reason.
    """
    name = "verification_key.json"
    key = _header(value, name)
    points = [*_g1(key, "vk_alpha_1", name)]
    for field in ("vk_beta_2", "vk_gamma_2", "vk_delta_2"):
        points += _g2(key, field, name)
    ic = key.get("IC")
    if not isinstance(ic, list) or not ic:
        raise FormatError(f"{name}: IC is not a list of points")
    if key.get("nPublic") != len(ic) - 1 or isinstance(key.get("nPublic"), bool):
        raise FormatError(f"{name}: nPublic is not the number of IC points less one")
    for i, point in enumerate(ic):
        points += _g1({f"IC[{i}]": point}, f"IC[{i}]", name)
    return layout.join(points)


def encode_verification_key(key: bytes) -> dict[str, Any]:
    """verification_key.json of our bytes, equal to what `snarkjs zkey export verificationkey` writes.

    Raises: FormatError when the key is malformed.
    """
    try:
        pairing = layout.words(_native.alpha_beta(key))
    except ValueError as error:
        raise FormatError(f"{error}: export the verification key from the .zkey again") from error
    w = layout.words(key)
    ic = [_encode_g1(w[i : i + 2]) for i in range(layout.KEY_FIXED_WORDS, len(w), layout.G1_WORDS)]
    pairs = [[str(x) for x in pairing[i : i + 2]] for i in range(0, 12, 2)]
    return {
        "protocol": PROTOCOL,
        "curve": CURVE,
        "nPublic": len(ic) - 1,
        "vk_alpha_1": _encode_g1(w[0:2]),
        "vk_beta_2": _encode_g2(w[2:6]),
        "vk_gamma_2": _encode_g2(w[6:10]),
        "vk_delta_2": _encode_g2(w[10:14]),
        "vk_alphabeta_12": [pairs[:3], pairs[3:]],
        "IC": ic,
    }


def _encode_g1(w: list[int]) -> list[str]:
    return [str(w[0]), str(w[1]), "1"]


def _encode_g2(w: list[int]) -> list[list[str]]:
    return [[str(w[0]), str(w[1])], [str(w[2]), str(w[3])], ["1", "0"]]


def _header(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise FormatError(f"{name}: it is not a JSON object")
    for field, expected in (("protocol", PROTOCOL), ("curve", CURVE)):
        if value.get(field) != expected:
            raise FormatError(f'{name}: {field} is not "{expected}", the only one supported')
    return value


def _number(value: object, bound: int, what: str) -> int:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise FormatError(f"{what} is not a decimal string without sign and leading zeros")
    number = int(value)
    if number >= bound:
        raise FormatError(
            f"{what} is not below the field order: reduced and unreduced values are not the same input"
        )
    return number


def _coordinates(values: object, count: int, what: str) -> list[int]:
    if not isinstance(values, list) or len(values) != count:
        raise FormatError(f"{what} is not a list of {count} decimal strings")
    return [_number(x, layout.BASE_FIELD_ORDER, f"{what}[{i}]") for i, x in enumerate(values)]


def _g1(holder: dict[str, object], field: str, name: str) -> list[int]:
    what = f"{name}: {field}"
    x, y, z = _coordinates(holder.get(field), 3, what)
    if z != 1:
        raise FormatError(f"{what} is not an affine point: its third coordinate must be 1")
    return [x, y]


def _g2(holder: dict[str, object], field: str, name: str) -> list[int]:
    what = f"{name}: {field}"
    rows = holder.get(field)
    if not isinstance(rows, list) or len(rows) != 3:
        raise FormatError(f"{what} is not a list of 3 pairs")
    x, y, z = (_coordinates(row, 2, f"{what}[{i}]") for i, row in enumerate(rows))
    if z != [1, 0]:
        raise FormatError(f"{what} is not an affine point: its third coordinate must be 1, 0")
    return [*x, *y]
