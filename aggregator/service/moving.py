"""Accounts in moved markets and with other positions, as the service answers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aggregator.fixed import format_decimal, mul_div_down, parse_decimal
from aggregator.margin import evaluate, make_report, to_json
from aggregator.model.errors import InputError, PolicyError
from aggregator.model.policy import Level, Policy
from aggregator.model.strictjson import JsonObject
from aggregator.model.units import QUANTITY_BOUND, RATE_SCALE
from aggregator.policy.inputs import PolicyInputs
from aggregator.risk.desk import STILL, Desk, Moves
from aggregator.risk.exposure import risk_figures
from aggregator.risk.liquidation import liquidation_prices
from aggregator.risk.stress import stress
from aggregator.risk.stress_file import NamedMoves, parse_stress
from aggregator.service.library import Case
from aggregator.service.valuing import Json, decimals, summary, summary_of
from aggregator.store import read_whole

RATE_DIGITS: Final = 6
QUANTITY_DIGITS: Final = 8
MOST_MOVES: Final = 64
MOST_CHANGES: Final = 64
MOST_TEXT: Final = 60
HIGHEST_E6: Final = 100 * RATE_SCALE
_MOVES: Final = ("spot", "rate", "volatility", "skew", "basis", "correlation")


@dataclass(frozen=True, slots=True)
class Change:
    """A quantity in 1e-8 that is added to a position."""

    symbol: str
    quantity_e8: int


def parse_moves(value: object, where: str) -> Moves:
    """Moves as the interface takes them: decimal strings of up to six digits; raises InputError."""
    fields = JsonObject(value, where, (), error=InputError, open_ended=True, see="/openapi.json")
    if unknown := sorted(fields.value.keys() - set(_MOVES)):
        raise InputError(f"{where} has the unknown field {unknown[0]!r}; use {', '.join(_MOVES)}")

    def one(name: str) -> int:
        return _move(fields.value[name], f"{where}.{name}") if name in fields.value else 0

    def several(name: str) -> dict[str, int]:
        given = fields.value.get(name, {})
        if not isinstance(given, dict) or len(given) > MOST_MOVES:
            raise InputError(f"{where}.{name} is not an object of at most {MOST_MOVES} moves; correct it")
        return {str(key): _move(move, f"{where}.{name}.{key}"[:MOST_TEXT]) for key, move in given.items()}

    return Moves(
        spot_e6=several("spot"),
        rates_e6=several("rate"),
        volatility_e6=one("volatility"),
        skew_e6=one("skew"),
        basis_e6=one("basis"),
        correlation_e6=one("correlation"),
    )


def _move(value: object, where: str) -> int:
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise InputError(f'{where} is not a decimal string; write it like "-0.3"')
    move = parse_decimal(value, RATE_DIGITS)
    if abs(move) > HIGHEST_E6:
        raise InputError(f"{where} is {value}, outside -100..100; use a smaller one")
    return move


def moves_json(moves: Moves) -> Json:
    """Moves as the interface shows them, without those that are zero."""
    shown: Json = {
        "spot": decimals(sorted(moves.spot_e6.items()), RATE_DIGITS),
        "rate": decimals(sorted(moves.rates_e6.items()), RATE_DIGITS),
    }
    for name in _MOVES[2:]:
        if move := getattr(moves, f"{name}_e6"):
            shown[name] = format_decimal(move, RATE_DIGITS)
    return shown


def parse_changes(value: object, where: str) -> tuple[Change, ...]:
    """Changes of positions; raises InputError."""
    if not isinstance(value, list) or len(value) > MOST_CHANGES:
        raise InputError(f"{where} is not a list of at most {MOST_CHANGES} changes; correct it")
    found = []
    for n, entry in enumerate(value):
        fields = JsonObject(
            entry, f"{where}[{n}]", ("symbol", "quantity"), error=InputError, see="/openapi.json"
        )
        quantity = parse_decimal(fields.text("quantity", max_length=MOST_TEXT), QUANTITY_DIGITS)
        found.append(Change(fields.text("symbol"), quantity))
    return tuple(found)


def changed_positions(
    policy: Policy, positions: Mapping[str, int], changes: Sequence[Change]
) -> dict[str, int]:
    """Positions (1e-8 by symbol) after the changes; InputError for an instrument the policy does not price."""
    held = dict(positions)
    for change in changes:
        if change.symbol not in policy.by_symbol:
            raise InputError(
                f"the policy {policy.name} prices no {change.symbol[:MOST_TEXT]!r}; use one of its instruments"
            )
        held[change.symbol] = held.get(change.symbol, 0) + change.quantity_e8
        if abs(held[change.symbol]) >= QUANTITY_BOUND:
            raise InputError(f"the quantity of {change.symbol} is not below 2^80; change it by less")
    return {symbol: quantity for symbol, quantity in held.items() if quantity}


def what_if(
    case: Case,
    desk_on: Callable[[Mapping[str, int]], Desk] | None,
    moves: Moves,
    changes: Sequence[Change],
    *,
    full: bool,
) -> Json:
    """The account before and after; without moves, no desk is needed.

    Raises InputError, and PolicyError when a moved smile admits arbitrage.
    """
    before = case.positions
    held = changed_positions(case.policy, case.accepted, changes)
    policy = case.policy
    if moves != STILL and desk_on is not None:
        policy = desk_on(held).policy(moves)
    after = {policy.by_symbol[symbol].id: quantity for symbol, quantity in held.items()}
    levels = [
        evaluate(under, positions, level)
        for under, positions in ((case.policy, before), (policy, after))
        for level in (Level.IM, Level.MM)
    ]
    return {
        "before": summary_of(levels[0], levels[1]),
        "after": summary_of(levels[2], levels[3]),
        "equityChangeUsd": format_decimal(levels[2].equity_e20 - levels[0].equity_e20, 20),
        "reportBefore": to_json(make_report(case.policy, before)) if full else None,
        "reportAfter": to_json(make_report(policy, after)) if full else None,
    }


def read_replays(path: str) -> tuple[NamedMoves, ...]:
    """The replays of a configured file, none without one; raises PolicyError."""
    if not path:
        return ()
    try:
        return parse_stress(read_whole(Path(path), "the stress replays").decode(), path)
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from error


def stressed(case: Case, desk: Desk, scenarios: Sequence[NamedMoves]) -> Json:
    """The account under each scenario; raises InputError and PolicyError."""
    results = []
    for one in scenarios:
        kept, unknown = one.quoted(desk.prices, desk.rates)
        result = stress(desk, one.name, kept.moves)
        results.append(
            {
                "name": one.name,
                "notQuoted": list(unknown),
                "after": summary_of(result.after_im, result.after_mm),
                "pnlUsd": format_decimal(result.pnl_e20, 20),
                "liquidated": result.liquidated,
                "byFactor": decimals(tuple(result.by_factor().items()), 20),
                "byClass": decimals(tuple(result.by_class().items()), 20),
                "instruments": [
                    {
                        "symbol": part.symbol,
                        "class": part.class_name,
                        "pnlUsd": format_decimal(part.pnl_e20, 20),
                        "byFactor": decimals(part.by_factor, 20),
                    }
                    for part in result.instruments
                ],
            }
        )
    return {"before": summary(case.policy, case.positions), "results": results}


def liquidations(desk: Desk, asset: str | None) -> list[Json]:
    """The liquidation prices of one asset, or of the price of every risk class that is held.

    Raises InputError for a price nobody quotes.
    """
    names = [asset] if asset is not None else list(dict.fromkeys(c.price for c in desk.spec.classes))
    found: list[Json] = []
    for name in names:
        price = desk.price_e12(name)
        found.append(
            {
                "asset": name,
                "priceUsd": format_decimal(price, 12),
                "liquidations": [
                    {
                        "priceUsd": format_decimal(one.bad_e12, 12),
                        "standsAtUsd": format_decimal(one.good_e12, 12),
                        "distance": format_decimal(
                            mul_div_down(one.bad_e12 - price, RATE_SCALE, price), RATE_DIGITS
                        ),
                        "falling": one.falling,
                    }
                    for one in liquidation_prices(desk, name)
                ],
            }
        )
    return found


def greeks(desk: Desk, inputs: PolicyInputs) -> list[Json]:
    """Greeks by risk class; raises InputError for an account without equity."""

    def optional(value: int | None) -> str | None:
        return None if value is None else format_decimal(value, 6)

    return [
        {
            "class": one.name,
            "deltaUsd": format_decimal(one.delta_e6, 6),
            "gammaUsd": format_decimal(one.gamma_e6, 6),
            "vegaUsd": format_decimal(one.vega_e6, 6),
            "thetaUsd": format_decimal(one.theta_e6, 6),
            "beta": optional(one.beta_e6),
            "daysToLiquidate": optional(one.days_e6),
        }
        for one in risk_figures(desk, inputs.resolved.betas_e6).classes
    ]
