"""Ways to break iden3 files and proofs, shared by the tests."""

from __future__ import annotations

from py_ecc.fields import optimized_bn128_FQ2 as FQ2
from py_ecc.optimized_bn128.optimized_curve import b2, curve_order, is_inf, is_on_curve, multiply

from circuits.formats.layout import BASE_FIELD_ORDER

Sections = list[tuple[int, bytes]]


def split_sections(data: bytes) -> tuple[bytes, Sections]:
    """Magic and version, and the sections of an iden3 file."""
    sections: Sections = []
    at = 12
    while at < len(data):
        number = int.from_bytes(data[at : at + 4], "little")
        size = int.from_bytes(data[at + 4 : at + 12], "little")
        sections.append((number, data[at + 12 : at + 12 + size]))
        at += 12 + size
    return data[:8], sections


def join_sections(head: bytes, sections: Sections) -> bytes:
    """The inverse of `split_sections`."""
    body = b"".join(n.to_bytes(4, "little") + len(part).to_bytes(8, "little") + part for n, part in sections)
    return head + len(sections).to_bytes(4, "little") + body


def with_section(data: bytes, number: int, part: bytes) -> bytes:
    """The file with one section replaced."""
    head, sections = split_sections(data)
    return join_sections(head, [(n, part if n == number else old) for n, old in sections])


def section(data: bytes, number: int) -> bytes:
    """One section's bytes."""
    return dict(split_sections(data)[1])[number]


def spliced(data: bytes, at: int, new: bytes) -> bytes:
    """The bytes with some overwritten."""
    return data[:at] + new + data[at + len(new) :]


def g2_outside_the_subgroup() -> list[int]:
    """A point on the twist whose order is not r: x.c0, x.c1, y.c0, y.c1."""
    for c0 in range(1, 100):
        x = FQ2([c0, 1])
        root = _square_root(x * x * x + b2)
        if root is None:
            continue
        point = (x, root, FQ2.one())
        if is_on_curve(point, b2) and not is_inf(multiply(point, curve_order)):
            return [int(c) for c in (*x.coeffs, *root.coeffs)]
    raise RuntimeError("no such point below 100")


def _square_root(value: FQ2) -> FQ2 | None:
    """A root in the quadratic extension, for q = 3 mod 4 (complex method)."""
    q = BASE_FIELD_ORDER
    a, b = (int(c) for c in value.coeffs)
    norm_root = pow(a * a + b * b, (q + 1) // 4, q)
    for norm in (norm_root, -norm_root):
        half = (a + norm) * pow(2, -1, q) % q
        c = pow(half, (q + 1) // 4, q)
        if c and c * c % q == half:
            root = FQ2([c, b * pow(2 * c, -1, q) % q])
            if root * root == value:
                return root
    return None
