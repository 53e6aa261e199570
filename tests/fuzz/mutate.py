"""Mutations of valid input: bytes, containers with sections, JSON, TOML. All randomness is the caller's `Random`."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from tests.circuits.malformed import join_sections, split_sections

Mutator = Callable[[random.Random, bytes, Sequence[bytes]], bytes]

U32 = (0, 1, 2, 3, 7, 0x7F, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
U64 = (0, 1, 0xFFFFFFFF, 1 << 32, (1 << 62) - 4, (1 << 63) - 1, 1 << 63, (1 << 64) - 13, (1 << 64) - 1)
SCALAR = 21888242871839275222246405745257275088548364400416034343698204186575808495617
WORDS = (0, 1, SCALAR - 1, SCALAR, SCALAR + 1, (1 << 256) - 1, 1 << 255)


def mutate_bytes(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Flipped bits, cut, doubled, moved and spliced ranges, edited numbers."""
    out = bytearray(data)
    for _ in range(1 + rng.randrange(3)):
        _mutate_once(rng, out, seeds)
    return bytes(out)


def _mutate_once(rng: random.Random, out: bytearray, seeds: Sequence[bytes]) -> None:
    at = rng.randrange(len(out) + 1)
    length = min(len(out) - at, 1 + rng.randrange(1 << rng.randrange(1, 8)))
    choice = rng.randrange(9)
    if not out:
        out += rng.randbytes(rng.randrange(40))
    elif choice == 0:
        out[at % len(out)] ^= 1 << rng.randrange(8)
    elif choice == 1:
        del out[at:]
    elif choice == 2:
        del out[at : at + length]
    elif choice == 3:
        out[at:at] = out[at : at + length]
    elif choice == 4:
        out[at:at] = rng.randbytes(length)
    elif choice == 5:
        other = rng.choice(seeds)
        start = rng.randrange(len(other) + 1)
        out[at:] = other[start:]
    elif choice == 6:
        _overwrite(out, at & ~3, rng.choice(U32), 4)
    elif choice == 7:
        _overwrite(out, at & ~3, rng.choice((*U64, len(out) - at, len(out) - at + 1)), 8)
    else:
        _overwrite(out, at & ~31, rng.choice(WORDS), 32)


def _overwrite(out: bytearray, at: int, value: int, size: int) -> None:
    room = max(0, min(size, len(out) - at))
    out[at : at + room] = (value % (1 << 8 * size)).to_bytes(size, "little")[:room]


def mutate_sections(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """An iden3 container whose framing stays right while a section is edited, doubled, dropped, moved or swapped."""
    if rng.randrange(4) == 0:
        return mutate_bytes(rng, data, seeds)
    head, sections = split_sections(data)
    at = rng.randrange(len(sections))
    number, body = sections[at]
    choice = rng.randrange(10)
    if choice == 0:
        sections.insert(rng.randrange(len(sections) + 1), sections[at])
    elif choice == 1:
        del sections[at]
    elif choice == 2:
        rng.shuffle(sections)
    elif choice == 3:
        _, others = split_sections(rng.choice(seeds))
        sections[at] = (number, rng.choice(others)[1])
    elif choice == 4:
        sections[at] = (rng.choice((0, 1, 2, 3, 4, 9, 10, 11, 0xFFFFFFFF)), body)
    else:
        sections[at] = (number, mutate_bytes(rng, body, [part for _, part in sections]))
    return join_sections(head, sections)


_TEXTS = (
    "",
    "0x",
    "0x0",
    "-0",
    "00",
    "+1",
    "1e9",
    "1.5",
    "NaN",
    "\x00",
    "\ud800",
    "é",
    "../../etc",
    "9" * 101,
    "A" * 5000,
)
_JSON_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**53 - 1, 2**53, 2**64, 10**400, 1.5, 1e308),
    *([], {}, [[]], [None], {"": 1}, {"a": {}}),
    *_TEXTS,
    *(str(v) for v in (2**53, 2**80, 2**256, SCALAR, -1, 10**99)),
    "0x" + "ff" * 20,
    "0x" + "00" * 32,
)


def mutate_json(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """One to three edits of a JSON value, or of its text."""
    if rng.randrange(4) == 0:
        return _mutate_text(rng, data, seeds)
    value = json.loads(data)
    for _ in range(1 + rng.randrange(2)):
        value = _edit(rng, value, seeds)
    return json.dumps(value, ensure_ascii=rng.randrange(2) == 0).encode("utf-8", "surrogatepass")


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += _paths(item, (*path, key))
    return found


def _edit(rng: random.Random, value: Any, seeds: Sequence[bytes]) -> Any:
    path = rng.choice(_paths(value))
    if not path:
        return rng.choice((value, value, value, copy.deepcopy(rng.choice(_JSON_VALUES))))
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    old = holder[path[-1]]
    choice = rng.randrange(7)
    if choice == 0:
        del holder[path[-1]]
    elif choice == 1 and isinstance(holder, dict):
        holder[rng.choice(_TEXTS)] = old
    elif choice == 1:
        holder.insert(rng.randrange(len(holder) + 1), old)
    elif choice == 2 and isinstance(old, str):
        holder[path[-1]] = mutate_bytes(rng, old.encode("utf-8", "surrogatepass"), seeds[:1]).decode(
            "latin-1"
        )
    elif choice == 3 and isinstance(old, int):
        holder[path[-1]] = rng.choice((old + 1, old - 1, -old, str(old), float(old % 2**53)))
    elif choice == 4:
        other = json.loads(rng.choice(seeds))
        for key in rng.choice(_paths(other)):
            other = other[key]
        holder[path[-1]] = other
    else:
        holder[path[-1]] = copy.deepcopy(rng.choice(_JSON_VALUES))
    return value


def _mutate_text(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    choice = rng.randrange(4)
    if choice == 0:
        depth = rng.choice((70, 5000, 100_000))
        return data[:1] + b'"x":' + b"[" * depth if rng.randrange(2) else b"[" * depth + data
    if choice == 1 and b"," in data:
        cut = rng.choice([i for i, byte in enumerate(data) if byte == ord(",")])
        return data[:cut] + b"," + data[cut:].split(b",")[1] + data[cut:]
    return mutate_bytes(rng, data, seeds)


_TOML_VALUES = (
    *(
        "0",
        "-1",
        "1.5",
        "inf",
        "nan",
        "1e400",
        "true",
        '""',
        "[]",
        "{}",
        "[[]]",
        "[1, 'a']",
        "99999999999999999999999",
    ),
    *(
        "1979-05-27T07:32:00Z",
        "07:32:00",
        "'x'",
        '"\\u0000"',
        '"\\ud800"',
        '"' + "A" * 5000 + '"',
        "{a = 1}",
        "[{}]",
    ),
    *('"-1"', '"1e9"', '"0x"', '"NaN"', '"eip155:0"', '"' + "9" * 101 + '"', "[" * 80 + "]" * 80, "0x7f"),
)


def mutate_toml(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Values, lines and headers of TOML exchanged, dropped and doubled."""
    if rng.randrange(5) == 0:
        return mutate_bytes(rng, data, seeds)
    lines = data.decode("utf-8").splitlines()
    for _ in range(1 + rng.randrange(2)):
        at = rng.randrange(len(lines)) if lines else 0
        choice = rng.randrange(6)
        if not lines:
            break
        key, equals, _ = lines[at].partition("=")
        if choice <= 2 and equals:
            lines[at] = f"{key}= {rng.choice(_TOML_VALUES)}"
        elif choice == 3:
            del lines[at]
        elif choice == 4:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        else:
            other = rng.choice(seeds).decode("utf-8").splitlines()
            lines[at] = rng.choice(other) if other else ""
    return "\n".join(lines).encode()
