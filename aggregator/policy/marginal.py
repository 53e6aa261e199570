"""More collateral never lowers the excess: what one more unit costs at most, against what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aggregator.fixed import div_ceil, format_decimal
from aggregator.model.errors import PolicyError
from aggregator.model.policy import Addon, InstrumentKind, NettingGroup
from aggregator.model.units import RATE_SCALE
from aggregator.policy.draft import NO_RISK, Draft
from aggregator.policy.quotes import Quotes
from aggregator.policy.slopes import slopes_of
from aggregator.policy.spec import PolicySpec

_DIGITS = 12


def cost_e12(draft: Draft, groups: Sequence[NettingGroup], scan_factor_e6: int) -> int:
    """The most that one more unit raises the requirement by at initial margin, in 1e-12 USD, rounded up.

    f times its worst loss (correlations are at most 1, so R rises by no more), the steepest line of its group, its
    add-on. At maintenance margin none of the three is larger (W7).
    """
    worst = max(0, *(-entry for entry in draft.risk_e12))
    slope = slopes_of(groups[draft.group_id - 1]).long_im if draft.group_id else 0
    return div_ceil(scan_factor_e6 * worst + slope * draft.unit_e6, RATE_SCALE) + draft.addon_im.long_e12


def worth_holding(draft: Draft, groups: Sequence[NettingGroup], spec: PolicySpec, quotes: Quotes) -> Draft:
    """The draft, when holding more of it never lowers the excess.

    One that its own market has put too far below what it stands for counts for nothing, with the reason among the
    quotes' `zeroed`: no market move may stop a policy. Otherwise the rates of the spec are at fault.

    Raises PolicyError: the rates ask for more than the whole of it.
    """
    if draft.kind is not InstrumentKind.SPOT or not draft.mark_e12:
        return draft
    cost = cost_e12(draft, groups, spec.scan_factor.im_e6)
    if cost <= draft.mark_e12:
        return draft
    worth = format_decimal(draft.mark_e12, _DIGITS)
    charged = format_decimal(cost, _DIGITS)
    if not draft.depegged:
        raise PolicyError(
            f"{draft.symbol} is worth {worth} USD and the spec charges up to {charged} USD for holding one more: scan "
            "factor x worst loss, last tier and add-ons; lower them until more of it never lowers the excess"
        )
    quotes.zeroed.setdefault(
        draft.symbol, f"its market is at {worth} USD and holding one more costs up to {charged} USD"
    )
    return replace(
        draft,
        mark_e12=0,
        unit_e6=0,
        risk_e12=NO_RISK,
        addon_im=Addon(0, draft.addon_im.short_e12 + draft.mark_e12),
        addon_mm=Addon(0, draft.addon_mm.short_e12 + draft.mark_e12),
    )
