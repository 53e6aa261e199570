"""A Dutch auction of collateral, with bids that arrive over time.

The price is a share of the mark that falls in steps, as in Maker's Liquidations 2.0 (`clip` and its price calculators
`abaci`: LinearDecrease, StairstepExponentialDecrease, docs.makerdao.com). A bid names a quantity and the most it pays.

- `continuous`: a bid is filled at the price of the step as soon as that is at or below its limit, the first to come
  first. Who orders the transactions of a block decides who is filled.
- `batch`: the bids of a step are opened together at its end and settle at one price: the highest at which all that is
  left is sold, and never less than the step's own price. Every permutation of the bids gives the same result
  (after Budish, Cramton, Shim, "The high-frequency trading arms race", Quarterly Journal of Economics 130, 2015).
  Hiding them until then (commit, then reveal) is for the contract that runs it; here they are simply not read in
  order.

Quantities are 1e-8 units, shares of the mark 1e-6, proceeds 1e-6 USD rounded down for each fill.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import div_floor
from aggregator.liquidation.losses import socialise
from aggregator.liquidation.rules import AuctionRules, Decay, Settlement
from aggregator.model.errors import ConfigError, InputError, PolicyError
from aggregator.model.units import E20_PER_USD_E6, QUANTITY_SCALE, RATE_SCALE
from aggregator.policy.tables import Table, load_toml

BIDS_SCHEMA: Final = "counterfoil/bids/1"
MAX_BIDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Lot:
    """What is sold: a quantity above 0 and its mark (1e-12 USD)."""

    symbol: str
    quantity_e8: int
    mark_e12: int

    def __post_init__(self) -> None:
        if self.quantity_e8 <= 0 or self.mark_e12 <= 0:
            raise InputError(
                f"an auction of {self.symbol} sells nothing of worth; give a quantity and a mark above 0"
            )


@dataclass(frozen=True, slots=True)
class Bid:
    """`limit_e6` is the most that is paid, as a share of the mark; the bid stands from `at_s` on until it is filled."""

    bidder: str
    symbol: str
    at_s: int
    limit_e6: int
    quantity_e8: int


@dataclass(frozen=True, slots=True)
class Fill:
    """What a bidder got, in which step (from 0), at which share of the mark, for how much."""

    bidder: str
    step: int
    price_e6: int
    quantity_e8: int
    paid_e6: int


@dataclass(frozen=True, slots=True)
class AuctionResult:
    """Fills in order, and what stayed unsold."""

    lot: Lot
    fills: tuple[Fill, ...]
    unsold_e8: int

    @property
    def proceeds_e6(self) -> int:
        """What was paid."""
        return sum(fill.paid_e6 for fill in self.fills)

    @property
    def discount_e20(self) -> int:
        """What the bidders gained at the mark; negative when they paid more."""
        sold = self.lot.quantity_e8 - self.unsold_e8
        return sold * self.lot.mark_e12 - self.proceeds_e6 * E20_PER_USD_E6


def price_steps(rules: AuctionRules) -> tuple[tuple[int, int], ...]:
    """(seconds, share of the mark in 1e-6) of each step, the first at 0; prices rounded down, never below the floor."""
    steps = range(0, rules.duration_s, rules.step_s)
    if rules.decay is Decay.LINEAR:
        fall = rules.start_e6 - rules.floor_e6
        return tuple(
            (t, div_floor(rules.start_e6 * rules.duration_s - fall * t, rules.duration_s)) for t in steps
        )
    prices, price = [], rules.start_e6
    for t in steps:
        prices.append((t, price))
        price = max(rules.floor_e6, div_floor(price * (RATE_SCALE - rules.cut_e6), RATE_SCALE))
    return tuple(prices)


def auction(lot: Lot, rules: AuctionRules, bids: Iterable[Bid]) -> AuctionResult:
    """Sell `lot` to those bids that name its symbol, by the rules' settlement.

    With `continuous`, bids that stand at the same moment are served in the order given; with `batch` the order has no
    effect. Raises InputError for a bid without a quantity or a limit.
    """
    mine = [bid for bid in bids if bid.symbol == lot.symbol]
    for bid in mine:
        if bid.quantity_e8 <= 0 or bid.limit_e6 <= 0 or bid.at_s < 0:
            raise InputError(
                f"the bid of {bid.bidder} has no quantity, limit or time at or above its start; correct it"
            )
    open_ = {n: bid.quantity_e8 for n, bid in enumerate(mine)}
    left, fills = lot.quantity_e8, []
    for n, (start, price) in enumerate(price_steps(rules)):
        end = min(start + rules.step_s, rules.duration_s)
        standing = [k for k, bid in enumerate(mine) if open_[k] and bid.at_s < end and bid.limit_e6 >= price]
        if rules.settlement is Settlement.CONTINUOUS:
            standing.sort(key=lambda k: max(mine[k].at_s, start))
            taken = _in_turn(standing, open_, left)
            filled, at = taken, price
        else:
            filled, at = _together(standing, mine, open_, left, price)
        for k, quantity in filled.items():
            open_[k] -= quantity
            left -= quantity
            fills.append(Fill(mine[k].bidder, n, at, quantity, _paid(lot, quantity, at)))
    return AuctionResult(lot, tuple(_sorted(fills, rules.settlement)), left)


def _paid(lot: Lot, quantity_e8: int, price_e6: int) -> int:
    return div_floor(quantity_e8 * lot.mark_e12 * price_e6, RATE_SCALE * E20_PER_USD_E6)


def _in_turn(standing: Sequence[int], open_: dict[int, int], left: int) -> dict[int, int]:
    filled = {}
    for k in standing:
        quantity = min(open_[k], left)
        if quantity:
            filled[k] = quantity
            left -= quantity
    return filled


def _together(
    standing: Sequence[int], bids: Sequence[Bid], open_: dict[int, int], left: int, reserve_e6: int
) -> tuple[dict[int, int], int]:
    """Fills of one step at one price. Bids above it are filled whole, those at it share what is left, pro rata."""
    if left == 0 or sum(open_[k] for k in standing) <= left:
        return {k: open_[k] for k in standing} if left else {}, reserve_e6
    filled: dict[int, int] = {}
    for limit in sorted({bids[k].limit_e6 for k in standing}, reverse=True):
        level = sorted(
            (k for k in standing if bids[k].limit_e6 == limit), key=lambda k: _identity(bids[k], open_[k])
        )
        wanted = sum(open_[k] for k in level)
        if wanted < left:
            filled |= {k: open_[k] for k in level}
            left -= wanted
            continue
        shares = socialise(left, {rank: open_[k] for rank, k in enumerate(level)})
        return filled | {level[rank]: quantity for rank, quantity in shares.items()}, limit
    return filled, reserve_e6


def _identity(bid: Bid, open_e8: int) -> tuple[str, int, int]:
    """What tells two bids at one price apart. When they came is no part of it."""
    return bid.bidder, bid.quantity_e8, open_e8


def _sorted(fills: Sequence[Fill], settlement: Settlement) -> Sequence[Fill]:
    """In a batch there is no order inside a step, so the names make one."""
    if settlement is Settlement.CONTINUOUS:
        return fills
    return sorted(fills, key=lambda fill: (fill.step, fill.bidder, fill.quantity_e8))


def parse_bids(text: str, where: str = "bids") -> tuple[Bid, ...]:
    """TOML text (schema `counterfoil/bids/1`, [[bids]] with bidder, symbol, at_s, limit, quantity) into bids, in order.

    `limit` is a share of the mark, `quantity` in units. Raises ConfigError naming the key.
    """

    def bid(row: Table) -> Bid:
        found = Bid(
            bidder=row.text("bidder"),
            symbol=row.text("symbol"),
            at_s=row.integer("at_s", 0, 10**9),
            limit_e6=row.rate_e6("limit", high=10 * RATE_SCALE),
            quantity_e8=row.scaled("quantity", QUANTITY_SCALE),
        )
        if found.limit_e6 == 0 or found.quantity_e8 == 0:
            row.fail("limit", "or quantity is 0; a bid needs both")
        return found

    try:
        table = load_toml(text, where)
        if table.text("schema") != BIDS_SCHEMA:
            table.fail("schema", f"is not {BIDS_SCHEMA!r}; use a file of this version")
        found = table.tables("bids", bid)
        table.close()
        if len(found) > MAX_BIDS:
            table.fail("bids", f"has {len(found)} entries; give at most {MAX_BIDS}")
    except PolicyError as error:
        raise ConfigError(str(error)) from error
    return found
