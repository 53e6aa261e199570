"""Prices and rates over all chains, each chain read at its own anchored block."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aggregator.model.anchors import BlockAnchor
from aggregator.model.errors import ChainError, ConfigError, PriceError
from aggregator.policy.quotes import PriceQuote, RateQuote
from chains.anchors import Anchored, take_anchor
from chains.multicall import multicall
from chains.networks import Network
from chains.oracles.combining import MAX_DEVIATION_E6
from chains.oracles.crossing import Answer, merged, price_all
from chains.oracles.errors import DebtOnlyError, FeedPrice, ReserveError, SequencerError
from chains.oracles.feeds import check_sequencer, sequencer_call
from chains.oracles.moment import Moment
from chains.oracles.rates import RATED_KINDS, combine_rates, read_rates
from chains.oracles.reserves import CALLS_PER_PROOF, check_reserve, reserve_calls
from chains.oracles.source import source_of
from chains.rpc import Chain


@dataclass(frozen=True, slots=True)
class Market:
    """Quotes for a policy build, and every reason why a source was not used."""

    prices: Mapping[str, PriceQuote]
    rates: Mapping[str, RateQuote]
    problems: tuple[PriceError, ...]
    anchors: tuple[BlockAnchor, ...]


@dataclass(frozen=True, slots=True)
class Feeds:
    """What one chain's sources say: the answers by pair, and by token the verdict on its proof of reserve.

    `down` is why nothing that was read there speaks for the cut, None while the chain runs.
    """

    answers: Mapping[str, list[Answer]]
    reserves: Mapping[str, ReserveError | None]
    down: SequencerError | None = None


async def read_feeds(chain: Chain, anchored: Anchored, network: Network, *, cut: int) -> Feeds:
    """Each source and each proof of reserve of `network` at the anchored block, for the cut (Unix seconds).

    While the chain's sequencer is down, or back for too short a time, every price is good for debts only, and no proof
    of reserve holds.
    """
    sources = [source_of(network, feed) for feed in network.feeds]
    own = [source.calls() for source in sources]
    proofs = [reserve_calls(network, proof) for proof in network.reserve_proofs]
    up = [] if network.sequencer is None else [sequencer_call(network.sequencer)]
    calls = [call for group in (*own, *proofs, up) for call in group]
    outcomes = iter(await multicall(chain, anchored.ref, calls) if calls else [])
    first = [[next(outcomes) for _ in group] for group in own]
    covered = [[next(outcomes) for _ in range(CALLS_PER_PROOF)] for _ in proofs]
    more = [source.follow_up(found) for source, found in zip(sources, first, strict=True)]
    extra = [call for group in more for call in group]
    followed = iter(await multicall(chain, anchored.ref, extra) if extra else [])
    at = Moment(anchored.anchor.timestamp, cut, network.finality_lag_s)
    down: SequencerError | None = None
    if network.sequencer is not None:
        try:
            check_sequencer(network, network.sequencer, next(outcomes), at)
        except SequencerError as error:
            down = error
    answers: dict[str, list[Answer]] = {}
    for source, found, group in zip(sources, first, more, strict=True):
        answer: Answer
        try:
            answer = source.price([*found, *(next(followed) for _ in group)], at)
        except PriceError as error:
            answer = error
        answers.setdefault(source.pair, []).append(answer if down is None else _while_down(answer, down))
    reserves: dict[str, ReserveError | None] = {}
    for proof, found in zip(network.reserve_proofs, covered, strict=True):
        reserves[proof.symbol] = None if down is None else ReserveError(str(down))
        try:
            check_reserve(network, proof, found, at)
        except ReserveError as error:
            reserves[proof.symbol] = error
    return Feeds(answers, reserves, down)


def _while_down(answer: Answer, down: SequencerError) -> Answer:
    """The answer kept for debts; one that cannot be used anyway keeps its own reason."""
    last = answer.last if isinstance(answer, DebtOnlyError) else answer
    return SequencerError(str(down), last) if isinstance(last, FeedPrice) else answer


async def read_market(
    networks: Sequence[Network],
    *,
    cut: int,
    env: Mapping[str, str] = os.environ,
    max_deviation_e6: int = MAX_DEVIATION_E6,
) -> Market:
    """Prices by symbol and rates by wrapper over all `networks` that have sources or wrappers, at the cut.

    A token with a proof of reserve is priced for debts only when one of its proofs does not hold. What cannot be used
    is in `problems`, never in the quotes.
    """
    asked = [
        n for n in networks if n.feeds or n.reserve_proofs or any(t.kind in RATED_KINDS for t in n.tokens)
    ]
    results = await asyncio.gather(*(_read_chain(network, cut, env) for network in asked))
    proofs: dict[str, list[ReserveError | None]] = {}
    problems: list[PriceError] = [problem for result in results for problem in result.problems]
    for network, result in zip(asked, results, strict=True):
        for proof in network.reserve_proofs:
            silent = ReserveError(f"the reserve of {network.instrument(proof.symbol)} was not read")
            proofs.setdefault(proof.symbol, []).append(result.feeds.reserves.get(proof.symbol, silent))
    prices, unused = price_all(merged([r.feeds.answers for r in results]), proofs, max_deviation_e6)
    rates, contradictions = combine_rates([r.rates for r in results])
    bad = [verdict for _, verdicts in sorted(proofs.items()) for verdict in verdicts if verdict is not None]
    anchors = tuple(r.anchor for r in results if r.anchor is not None)
    return Market(prices, rates, _once([*problems, *unused, *bad, *contradictions]), anchors)


def _once(problems: Sequence[PriceError]) -> tuple[PriceError, ...]:
    """Each sentence once: a sequencer that is down is the reason of every price of its chain."""
    return tuple({str(problem): problem for problem in reversed(problems)}.values())[::-1]


@dataclass(frozen=True, slots=True)
class _ChainMarket:
    anchor: BlockAnchor | None
    feeds: Feeds
    rates: Mapping[str, RateQuote]
    problems: Sequence[PriceError]


async def _read_chain(network: Network, cut: int, env: Mapping[str, str]) -> _ChainMarket:
    """One chain's answers and rates within its deadline; a chain that fails is one problem."""
    try:
        async with asyncio.timeout(network.deadline_s), network.connect(env) as chain:
            anchored = await take_anchor(
                chain, cut=cut, finality=network.finality, max_lag_s=network.max_lag_s
            )
            feeds = await read_feeds(chain, anchored, network, cut=cut)
            rates, problems = await read_rates(chain, anchored, network, cut=cut, down=feeds.down)
            return _ChainMarket(anchored.anchor, feeds, rates, problems)
    except TimeoutError:
        reason = f"not read within {network.deadline_s} s"
    except (ChainError, ConfigError) as error:
        reason = str(error)
    problem = PriceError(f"no price and no rate of {network.name} is used: {reason}")
    return _ChainMarket(None, Feeds({}, {}), {}, [problem])
