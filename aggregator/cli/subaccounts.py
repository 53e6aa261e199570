"""All sub-accounts of one holder: which they are, and their margin side by side. Netting ends at each one's border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.cli import tables
from aggregator.cli.framework import Settings
from aggregator.cli.report_views import level_json
from aggregator.model.errors import IncompleteSnapshotError, InputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from aggregator.margin.subaccounts import SideBySide, SubAccount
    from aggregator.model.policy import Policy
    from aggregator.model.snapshot import Snapshot
    from aggregator.store.records import Account, Records


@dataclass(frozen=True)
class Taken:
    """The newest complete snapshot of each sub-account, and why the others have none."""

    snapshots: Sequence[tuple[Account, Snapshot]]
    missing: Sequence[tuple[Account, str]]


def _of_one_holder(store: Records, name: str) -> list[Account]:
    """The accounts whose ids come from the holder key of `name`: accountId = H(key, number)."""
    from aggregator.store.keyfile import read_holder_key
    from circuits.hashing import account_id

    key = read_holder_key(store.key_file(name))
    return [one for one in store.accounts() if one.account_id == account_id(key, one.sub_account)]


def _take(settings: Settings, name: str) -> Taken:
    from aggregator.model.snapshot import parse_snapshot

    found, missing = [], []
    with settings.home.store() as store:
        for account in _of_one_holder(store, name):
            try:
                taken = parse_snapshot(store.snapshot(account.name).document)
                taken.require_complete()
            except (NotFoundError, IncompleteSnapshotError) as error:
                missing.append((account, str(error)))
            else:
                found.append((account, taken))
    return Taken(found, missing)


def show_sub_accounts(settings: Settings, name: str, policy: Policy) -> None:
    """Show every sub-account of the holder of `name`. Without one of them there are no totals, and exit code 3."""
    from aggregator.cli.documents import is_path
    from aggregator.margin import positions_by_id
    from aggregator.margin.subaccounts import side_by_side
    from aggregator.service.accepting import accept

    if is_path(name) or name.startswith("0x"):
        raise InputError(f"{name!r} is no account of this home; --all-sub-accounts takes an account's name")
    taken = _take(settings, name)
    held = []
    for account, snapshot in taken.snapshots:
        accepted = accept(policy, snapshot)
        for note in accepted.notes:
            settings.note(f"{account.name}: cut by policy {policy.name}: {note}")
        held.append((account.name, account.sub_account, positions_by_id(policy, accepted.positions)))
    found = side_by_side(policy, held)
    whole = not taken.missing

    def render(console: Console) -> None:
        console.print(_table(found, taken, whole=whole).draw())
        if whole:
            for line in _sentences(found):
                console.print(line)
        cuts = sorted({tables.moment(snapshot.cut_time) for _, snapshot in taken.snapshots})
        if len(cuts) > 1:
            console.print(f"They were read at {len(cuts)} different cuts, from {cuts[0]} to {cuts[-1]}.")

    settings.show(_json(found, taken, whole=whole), render)
    if not whole:
        account, reason = taken.missing[0]
        settings.fail_after_answer(
            IncompleteSnapshotError(
                f"sub-account {account.name} cannot be shown, so there are no totals: {reason}"
            )
        )


def _row(part: SubAccount) -> tuple[str, ...]:
    return (
        part.name,
        str(part.number),
        tables.value_down(part.im.equity_e20),
        tables.usd_up(part.im.requirement_e6),
        tables.usd_down(part.im.excess_e6),
        tables.usd_up(part.mm.requirement_e6),
        tables.usd_down(part.mm.excess_e6),
        tables.health(part.mm.health_e6),
        part.status.value,
    )


def _joined_row(found: SideBySide) -> tuple[str, ...]:
    im, mm = found.joined_im, found.joined_mm
    return (
        *(
            "If it were one",
            "",
            tables.value_down(im.equity_e20),
            tables.usd_up(im.requirement_e6),
        ),
        *(tables.usd_down(im.excess_e6), tables.usd_up(mm.requirement_e6), tables.usd_down(mm.excess_e6)),
        *(tables.health(mm.health_e6), "for comparison"),
    )


def _table(found: SideBySide, taken: Taken, *, whole: bool) -> tables.Table:
    from aggregator.model.policy import Level

    rows = [_row(part) for part in found.parts]
    rows += [(account.name, str(account.sub_account), *("",) * 6, "not read") for account, _ in taken.missing]
    if whole:
        equity, im = found.added(Level.IM)
        mm = found.added(Level.MM)[1]
        added = (tables.value_down(equity), tables.usd_up(im), "", tables.usd_up(mm), "", "", "")
        rows += [("All, added up", "", *added), _joined_row(found)]
    columns = (
        *("Sub-account", ">No.", ">Equity", ">Requirement IM", ">Excess IM", ">Requirement MM"),
        *(">Excess MM", ">Health MM", "State"),
    )
    return tables.Table("Sub-accounts (USD)", columns, rows, total=2 if whole else 0)


def _sentences(found: SideBySide) -> list[str]:
    from aggregator.model.policy import Level

    fence = tables.usd_up(found.fence_e6(Level.IM))
    lines = [f"Netting happens inside, not across: the fences cost {fence} USD of IM requirement."]
    short = found.short_e6(Level.MM)
    if short:
        lines.append(
            f"What is below maintenance margin lacks {tables.usd_up(short)} USD, whatever the others have to spare."
        )
    return lines


def _json(found: SideBySide, taken: Taken, *, whole: bool) -> dict[str, object]:
    from aggregator.model.policy import Level

    cuts = {account.name: snapshot.cut_time for account, snapshot in taken.snapshots}
    return {
        "complete": whole,
        "subAccounts": [
            {
                "name": part.name,
                "subAccount": part.number,
                "cutTime": cuts[part.name],
                "status": part.status.value,
                "IM": level_json(part.im),
                "MM": level_json(part.mm),
            }
            for part in found.parts
        ],
        "missing": [
            {"name": account.name, "subAccount": account.sub_account, "reason": reason}
            for account, reason in taken.missing
        ],
        "added": None
        if not whole
        else {
            level.name: {
                "equityE20": str(found.added(level)[0]),
                "requirementE6": str(found.added(level)[1]),
                "fencesCostE6": str(found.fence_e6(level)),
                "lackingE6": str(found.short_e6(level)),
            }
            for level in Level
        },
        "joined": None
        if not whole
        else {"IM": level_json(found.joined_im), "MM": level_json(found.joined_mm)},
    }
