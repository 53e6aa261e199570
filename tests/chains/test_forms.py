"""Forms of proof read details that strangers wrote: whatever these say, a form answers or refuses, and never breaks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.model.errors import StateProofError
from chains.balances.forms import COIN, FORMS, Stated, form_named
from chains.balances.layouts import Layout
from chains.balances.registry import PROTOCOL_FORMS

HOLDER = bytes.fromhex("ab" * 20)
TOKEN = "0x" + "cd" * 20
LAYOUT = Layout("solidity", 0)
SOUND = {
    "layout": str(LAYOUT),
    "slot": "0x" + LAYOUT.key(HOLDER).hex(),
    "asset": "0x" + "01" * 20,
    "pool": "0x" + "02" * 20,
    "comet": "0x" + "03" * 20,
    "steth": "0x" + "04" * 20,
    "factory": "0x" + "05" * 20,
    "token0": "0x" + "06" * 20,
    "token1": "0x" + "07" * 20,
    "contractVersion": "3",
    "index": "0",
    "tokenId": "1",
    "fee": "3000",
    "tickLower": "-60",
    "tickUpper": "60",
}
"""A detail that has everything every form asks for."""
LAST_SLOT = Layout("solidity", (1 << 256) - 1)
NASTY = [
    *(
        "",
        "0",
        "-0",
        "-1",
        "00",
        " 1",
        "1e9",
        "²",
        "9" * 78,
        "9" * 79,
        "-" + "9" * 78,
        "8388608",
        "-8388609",
        "0x",
    ),
    *("0x" + "CD" * 20, "0x" + "cd" * 19, TOKEN, "2", "4", "5", "solady", "vyper:3/128", "solidity:0/1"),
    *(
        str(LAST_SLOT),
        "0x" + LAST_SLOT.key(HOLDER).hex(),
        "\x00",
        "a" * 5000,
        str(1 << 256),
        str((1 << 128) - 1),
    ),
]
details = st.dictionaries(
    st.sampled_from(sorted(SOUND)), st.sampled_from(NASTY) | st.text(max_size=8), max_size=3
)
words = st.sampled_from([0, 1, (1 << 128) - 1, 1 << 128, 1 << 255, (1 << 256) - 1]) | st.integers(
    0, (1 << 256) - 1
)


@pytest.mark.parametrize("name", sorted(FORMS))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_form_answers_or_refuses_whatever_a_detail_and_the_state_say(
    name: str, data: st.DataObject
) -> None:
    changed = data.draw(details)
    if data.draw(st.booleans()):
        changed = {**changed, "layout": str(LAST_SLOT), "slot": "0x" + LAST_SLOT.key(HOLDER).hex()}
    token = data.draw(st.sampled_from([TOKEN, TOKEN, COIN, "0x", TOKEN.upper()]))
    stated = Stated(HOLDER, token, {**SOUND, **changed}, data.draw(st.integers(0, 1 << 40)))
    form = form_named(name)
    try:
        asked = form.words(stated)
        assert all(len(address) == 20 and (slot is None or len(slot) == 32) for address, slot in asked)
        answers = [data.draw(words) for _ in asked]
        amounts = form.raw(stated, answers)
        remarks = form.remarks(stated, answers)
    except StateProofError:
        return
    assert 1 <= len(amounts) <= 2
    assert all(isinstance(amount, int) for amount in amounts)
    assert all(isinstance(text, str) for pair in remarks.items() for text in pair)


@pytest.mark.parametrize("name", sorted({*FORMS} - {"account"}))
def test_every_form_needs_its_detail(name: str) -> None:
    """Without what it asks for a form refuses; with it, it names its words."""
    form = form_named(name)
    assert form.words(Stated(HOLDER, TOKEN, SOUND, 0))
    with pytest.raises(StateProofError):
        form.words(Stated(HOLDER, TOKEN, {}, 0))


def test_debts_are_never_above_nothing_and_holdings_never_below() -> None:
    """With any words the sign of a form's amount is that of its kind."""
    for name in sorted(PROTOCOL_FORMS):
        form, stated = form_named(name), Stated(HOLDER, TOKEN, SOUND, 1 << 31)
        asked = form.words(stated)
        for word in (0, 7, (1 << 103) - 1, 1 << 103, (1 << 104) - 1):
            amounts = form.raw(stated, [word] * len(asked))
            assert all(a <= 0 if "debt" in name or "stable" in name else a >= 0 for a in amounts), name
