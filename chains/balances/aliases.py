"""Tokens that show a balance which is counted already: the chain's coin, or another token, under a second address.

Found by experiment, for an address that nobody has and that no contract can foresee:

1. eth_call of every balanceOf with a native balance given to that address: a token whose answer changes shows the coin.
2. Which words each balanceOf reads (chains.balances.touched). Where two tokens read the same word, it is overridden:
   two answers that change show one balance.

A node without state overrides, or one that does not tell what a call reads, cannot be asked; `Aliases.unchecked` says
so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from eth_utils.crypto import keccak

from aggregator.model.errors import ChainError
from chains.anchors import Anchored
from chains.balances.asset import Amount
from chains.balances.book import LayoutBook
from chains.balances.discovery import BALANCE_OF
from chains.balances.touched import View, touched_words
from chains.multicall import Call, Outcome, Overrides, multicall
from chains.rpc import Chain
from chains.rpc.abi import encode_call
from chains.rpc.values import encode_data, encode_quantity

_NUMBER_BITS: Final = 88
T = TypeVar("T")
MAX_SHARED_WORDS: Final = 64
"""Words that several tokens read and that are tried; more than their own balances have no reason to be shared."""


@dataclass(frozen=True, slots=True)
class Aliases:
    """`same` says of a token (20 bytes) what it repeats; `unchecked` why something could not be looked for, or ""."""

    same: Mapping[bytes, str] = field(default_factory=dict)
    unchecked: str = ""

    def checked(self, token: bytes, amounts: Sequence[Amount], coin: Amount | None) -> list[Amount]:
        """The amounts that one holder has of `token`, beside what it has of the coin.

        Where nothing could be looked for, their detail says so, and exactly as much as of the coin is refused.
        Raises: ChainError when the token repeats another holding, or seems to.
        """
        if (what := self.same.get(token)) is not None:
            raise ChainError(f"it {what}, which is counted already; take it out of the network file")
        if not self.unchecked:
            return list(amounts)
        for amount in amounts:
            if coin is not None and 0 < amount.raw == coin.raw * 10**amount.decimals // 10**coin.decimals:
                raise ChainError(
                    f"it is exactly as much as there is of {coin.instrument}, and {self.unchecked}; "
                    "use an endpoint with state overrides"
                )
        return [replace(a, detail={**a.detail, "repeats": f"unknown: {self.unchecked}"}) for a in amounts]


async def find_aliases(
    chain: Chain, anchored: Anchored, tokens: Sequence[bytes], book: LayoutBook
) -> Aliases:
    """The tokens that show the coin's balance or that of a token before them in `tokens` (20 bytes each).

    Tokens that are all holdings of their own are not asked again for a day, as long as `book` is kept.
    """
    now = anchored.anchor.timestamp
    if not tokens or book.distinct(chain.chain_id, tokens, now):
        return Aliases()
    found = await _look(chain, anchored, tokens)
    if not found.same and not found.unchecked:
        book.keep_distinct(chain.chain_id, tokens, now)
    return found


async def _look(chain: Chain, anchored: Anchored, tokens: Sequence[bytes]) -> Aliases:
    experiment = _Experiment(chain, anchored, tokens)
    plain, given, touched = await asyncio.gather(
        _or_error(experiment.balances({})),
        _or_error(experiment.with_coins()),
        _or_error(experiment.touched()),
    )
    if isinstance(plain, ChainError) or isinstance(given, ChainError):
        error = plain if isinstance(plain, ChainError) else given
        return Aliases(unchecked=f"whether it shows the coin's balance could not be asked ({error})")
    coin = experiment.moved(plain, given)
    same = dict.fromkeys(coin, "shows the balance of the chain's own coin")
    try:
        if isinstance(touched, ChainError):
            raise touched
        twins = await experiment.sharing_a_balance(plain, touched)
    except ChainError as error:
        return Aliases(same, f"whether it shows another token's balance could not be asked ({error})")
    for first, second in twins:
        same.setdefault(second, f"shows the balance of 0x{first.hex()}")
    return Aliases(same)


async def _or_error(asked: Awaitable[T]) -> T | ChainError:
    try:
        return await asked
    except ChainError as error:
        return error


class _Experiment:
    """One unforeseeable address and number, and the tokens asked about it."""

    def __init__(self, chain: Chain, anchored: Anchored, tokens: Sequence[bytes]) -> None:
        seed = keccak(b"counterfoil/alias" + bytes.fromhex(anchored.anchor.hash[2:]))
        self._chain, self._anchored, self._tokens = chain, anchored, tokens
        self._holder = seed[:20]
        self._number = int.from_bytes(seed[20:31], "big") | 1 << (_NUMBER_BITS - 1)
        self._question = encode_call(BALANCE_OF, self._holder)

    async def balances(self, overrides: Overrides) -> list[Outcome]:
        """The answer of each token, and the native balance last."""
        calls = [*(Call(token, self._question) for token in self._tokens), Call(self._holder)]
        return await multicall(self._chain, self._anchored.ref, calls, overrides)

    async def with_coins(self) -> list[Outcome]:
        """The same once the address has coins; raises ChainError without state overrides."""
        given = await self.balances({encode_data(self._holder): {"balance": encode_quantity(self._number)}})
        if given[-1].unsigned("the overridden balance") != self._number:
            raise ChainError("the endpoint takes no state overrides")
        return given

    async def touched(self) -> dict[bytes, set[tuple[bytes, bytes]]]:
        """The words that each token reads for its answer; raises ChainError when no node says it."""
        if len(self._tokens) < 2:
            return {}
        views = {token: View(token, self._question) for token in self._tokens}
        words = await touched_words(self._chain, self._anchored, list(views.values()))
        return {token: words[view] for token, view in views.items()}

    def moved(self, before: Sequence[Outcome], after: Sequence[Outcome]) -> list[bytes]:
        """The tokens whose answers differ."""
        rows = zip(self._tokens, before, after, strict=False)
        return [token for token, first, second in rows if _moved(first, second)]

    async def sharing_a_balance(
        self, plain: Sequence[Outcome], touched: Mapping[bytes, set[tuple[bytes, bytes]]]
    ) -> list[tuple[bytes, bytes]]:
        """Pairs of tokens whose answers both follow one word; raises ChainError."""
        readers = Counter(word for words in touched.values() for word in words)
        shared = sorted(word for word, count in readers.items() if count > 1)
        if len(shared) > MAX_SHARED_WORDS:
            raise ChainError(f"the tokens read {len(shared)} words in common, more than are tried")
        pairs: list[tuple[bytes, bytes]] = []
        for contract, slot in shared:
            assumed = {encode_data(slot): encode_data(self._number.to_bytes(32, "big"))}
            answers = await self.balances({encode_data(contract): {"stateDiff": assumed}})
            same = self.moved(plain, answers)
            pairs += [(same[0], other) for other in same[1:]]
        return pairs


def _moved(before: Outcome, after: Outcome) -> bool:
    """Whether a balance became another one; one that fails under an override does not show it."""
    return after.ok and len(after.data) == 32 and after.data != before.data
