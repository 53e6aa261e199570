"""An address backs one account at a time: links that run out or are withdrawn, and what an attestor remembers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aggregator.model.errors import ConflictError, ProofRefusedError
from aggregator.store import Home, Link, Revocation, Store
from aggregator.store.ownership import HOLD_MARGIN_S

ADDRESS, OTHER = "0x" + "ab" * 20, "0x" + "cd" * 20
HOME, ELSEWHERE = f"eip155:1:{ADDRESS}", f"eip155:10:{ADDRESS}"


def link(issued_at: int = 5, account: str = "one", address: str = ADDRESS, chain: str = "") -> Link:
    return Link(address, account, issued_at, issued_at + 100, "0x01", chain)


def revocation(issued_at: int, chain: str = "") -> Revocation:
    return Revocation(ADDRESS, issued_at, "0x02", chain)


@pytest.fixture
def accounts(home: Home, store: Store) -> Store:
    for name in ("one", "two"):
        home.create_account(store, name, sub_account=0, key_file=None, now=1)
    return store


def test_a_link_that_ran_out_does_not_hold_an_address(accounts: Store) -> None:
    accounts.add_link(link(5), now=8)
    with pytest.raises(ConflictError, match="linked to account 'one'"):
        accounts.add_link(link(9, "two"), now=105)
    accounts.add_link(link(9, "two"), now=106)
    assert accounts.links() == [link(9, "two")]


def test_a_revocation_ends_what_was_signed_until_then_and_nothing_later(accounts: Store) -> None:
    """Also links that are shown only afterwards; an older revocation takes nothing back."""
    accounts.add_link(link(5), now=8)
    accounts.add_link(link(5, chain="eip155:1"), now=8)
    assert accounts.revoke_links(revocation(7)) == [link(5)]
    assert accounts.revoke_links(revocation(6)) == []
    assert accounts.links() == [link(5, chain="eip155:1")]
    accounts.revoke_links(revocation(7, "eip155:1"))
    for late in (link(7), link(6, "two"), link(3, chain="eip155:1")):
        with pytest.raises(ConflictError, match="withdrew what it signed"):
            accounts.add_link(late, now=8)
    accounts.add_link(link(8, "two"), now=8)
    assert accounts.revoke_links(revocation(7)) == []
    assert accounts.links() == [link(8, "two")]


def test_an_attestor_lets_an_address_back_one_account_at_a_time(store: Store) -> None:
    """Not before the last attestation has run out, and only for a link that was signed later."""
    store.claim_attested(1, HOME, [link(5)], until=1000, now=10)
    store.claim_attested(1, HOME, [link(5)], until=900, now=20)
    for now in (30, 1000, 1000 + HOLD_MARGIN_S):
        with pytest.raises(ProofRefusedError, match="in an attestation that is good until 1000"):
            store.claim_attested(2, HOME, [link(6, address=OTHER), link(50)], until=2000, now=now)
    store.claim_attested(3, HOME, [link(6, address=OTHER)], until=2000, now=30)
    free = 1001 + HOLD_MARGIN_S
    for early in (4, 5):
        with pytest.raises(ProofRefusedError, match="linked to later"):
            store.claim_attested(2, HOME, [link(early)], until=3000, now=free)
    store.claim_attested(2, HOME, [link(6)], until=3000, now=free)
    with pytest.raises(ProofRefusedError, match="good until 3000"):
        store.claim_attested(1, HOME, [link(7)], until=4000, now=free)


def test_none_is_claimed_when_one_is_refused(store: Store) -> None:
    store.claim_attested(1, HOME, [link(5)], until=1000, now=10)
    with pytest.raises(ProofRefusedError):
        store.claim_attested(2, HOME, [link(9, address="0x" + "00" * 20), link(9)], until=1000, now=10)
    store.claim_attested(3, HOME, [link(1, address="0x" + "00" * 20)], until=1000, now=10)


def test_the_account_of_an_earlier_link_is_not_attested_again_once_a_later_one_was_shown(
    store: Store,
) -> None:
    """So a stranger with a phished link cannot hold the address by having it attested again and again."""
    store.claim_attested(1, HOME, [link(5)], until=1000, now=10)
    store.note_links(2, [link(20)])
    with pytest.raises(ProofRefusedError, match="good until 1000"):
        store.claim_attested(2, HOME, [link(20)], until=2000, now=30)
    with pytest.raises(ProofRefusedError, match="withdrew its link to this account"):
        store.claim_attested(1, HOME, [link(5)], until=2000, now=30)
    store.claim_attested(2, HOME, [link(20)], until=3000, now=1001 + HOLD_MARGIN_S)
    store.note_links(1, [link(5)])
    store.claim_attested(2, HOME, [link(20)], until=4000, now=2000)


def test_an_earlier_link_and_one_of_another_chain_withdraw_nothing(store: Store) -> None:
    store.claim_attested(1, HOME, [link(5)], until=1000, now=10)
    store.note_links(2, [link(4), link(9, chain="eip155:1")])
    store.note_links(1, [link(30)])
    store.claim_attested(1, HOME, [link(5)], until=1000, now=10)


def test_an_attestor_does_not_sign_by_a_link_that_was_withdrawn(store: Store) -> None:
    store.claim_attested(1, HOME, [link(5)], until=1000, now=10)
    store.revoke_links(revocation(7))
    for account in (1, 2):
        with pytest.raises(ProofRefusedError, match="withdrew its link"):
            store.claim_attested(account, HOME, [link(6)], until=1000, now=5000)
    store.claim_attested(1, HOME, [replace(link(5), chain="eip155:1")], until=1000, now=10)
    store.claim_attested(2, HOME, [link(8)], until=9000, now=5000)


def test_an_attestor_has_an_account_in_one_registry_at_a_time(store: Store) -> None:
    """Not in another before the last attestation to the first has run out; what is refused claims no address."""
    store.claim_attested(1, HOME, [link(5)], until=1000, now=10)
    store.claim_attested(1, HOME, [link(5)], until=900, now=20)
    for now in (30, 1000, 1000 + HOLD_MARGIN_S):
        with pytest.raises(ProofRefusedError, match=f"attested to the registry {HOME} until 1000"):
            store.claim_attested(1, ELSEWHERE, [link(6, address=OTHER)], until=2000, now=now)
    store.claim_attested(2, ELSEWHERE, [link(6, address=OTHER)], until=2000, now=30)
    free = 1001 + HOLD_MARGIN_S
    store.claim_attested(1, ELSEWHERE, [link(5)], until=1100, now=free)
    with pytest.raises(ProofRefusedError, match=f"{ELSEWHERE} until 1100"):
        store.claim_attested(1, HOME, [link(5)], until=3000, now=free)
