"""A policy and positions as the book kernel reads them (`circuits/_native.pyi`): signed little-endian words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from aggregator.model.errors import InputError
from aggregator.model.policy import Instrument, Level, NettingGroup, Policy

WORD = 16
INTERCEPT = 32

Header = tuple[int, tuple[int, int], list[int]]


def _words(values: Iterable[int], size: int = WORD) -> bytes:
    try:
        return b"".join([value.to_bytes(size, "little", signed=True) for value in values])
    except OverflowError as error:
        raise InputError(
            f"a number of the policy or the account does not fit {8 * size} bits; run check_policy on the policy"
        ) from error


def header(policy: Policy) -> Header:
    """Number of classes, scan factors (MM, IM) and correlations row by row."""
    factors = (policy.scan_factor_e6(Level.MM), policy.scan_factor_e6(Level.IM))
    return len(policy.classes), factors, [rho for row in policy.correlation_e6 for rho in row]


def instrument_words(instruments: Iterable[Instrument]) -> bytes:
    """42 words for each instrument."""
    return b"".join(
        _words(
            (
                one.id,
                one.class_id,
                one.group_id,
                one.mark_e12,
                one.unit_e6,
                one.max_quantity_e8,
                one.addon_mm.long_e12,
                one.addon_mm.short_e12,
                one.addon_im.long_e12,
                one.addon_im.short_e12,
                *one.risk_e12,
            )
        )
        for one in instruments
    )


def group_words(groups: Iterable[NettingGroup]) -> bytes:
    """One word for the id, then slope and intercept of the lines at MM and IM."""
    parts = []
    for group in groups:
        parts.append(_words([group.id]))
        for line in (*group.lines(Level.MM), *group.lines(Level.IM)):
            parts += [_words([line.slope_e12]), _words([line.intercept_e26], INTERCEPT)]
    return b"".join(parts)


def position_words(positions: Mapping[int, int]) -> tuple[bytes, bytes]:
    """Ids as uint16 and quantities as words."""
    return id_words(positions), _words(positions.values())


def id_words(ids: Iterable[int]) -> bytes:
    """Instrument ids as uint16."""
    given = list(ids)
    for one in given:
        if not 0 < one < 1 << 16:
            raise InputError(f"instrument {one} is not in the policy; ids are 1..4095")
    return np.array(given, dtype="<u2").tobytes()


def integers(words: bytes) -> list[int]:
    """Words as Python integers."""
    return [int.from_bytes(words[at : at + WORD], "little", signed=True) for at in range(0, len(words), WORD)]
