"""Documents of the demo policy at fixed prices and the present time, for commands that need no chain."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aggregator.model.anchors import BlockAnchor, Finality, Trust, eip155
from aggregator.model.snapshot import Method, Reading, Snapshot, encode_snapshot, make_snapshot
from aggregator.policy import encode_policy
from aggregator.policy.build import build_policy
from aggregator.policy.inputs import PolicyInputs, encode_inputs
from aggregator.policy.quotes import PriceQuote, RateQuote
from aggregator.policy.resolve import NOTHING
from aggregator.store import Home
from tests.aggregator.markets import PRICES_E12, RATES_E12, SPECS

NOW = int(time.time())
CHAIN = eip155(31337001)
ADDRESS = "0x" + "ab" * 20
PRICES = {name: PriceQuote(price, NOW) for name, price in PRICES_E12.items()}
RATES = {name: RateQuote(rate, NOW) for name, rate in RATES_E12.items()}
TEXT = (SPECS / "demo.toml").read_text()


def _reading(symbol: str, quantity_e8: int, token: str) -> Reading:
    kind = "ledger" if quantity_e8 < 0 or "@" not in symbol else "erc20"
    found = (CHAIN, ADDRESS, symbol, kind, token, quantity_e8, 8, quantity_e8)
    return Reading(*found, Trust.RPC_QUORUM, Method.CALLED, {})


def snapshot_of(positions: Mapping[str, int], account_id: int = 7, sub_account: int = 0) -> Snapshot:
    """A complete snapshot of quantities in 1e-8 by symbol."""
    word = "0x" + "01" * 32
    return make_snapshot(
        cut_time=NOW - 15,
        taken_at=NOW,
        account_id=account_id,
        sub_account=sub_account,
        addresses=[ADDRESS],
        anchors=[BlockAnchor(CHAIN, 5, word, word, NOW - 20, Finality.FINALIZED, Trust.RPC_QUORUM)],
        readings=[
            _reading(symbol, quantity, "0x" + f"{n:02x}" * 20)
            for n, (symbol, quantity) in enumerate(positions.items(), 1)
        ],
    )


@dataclass(frozen=True)
class Files:
    """Documents as files in a folder, or in a home."""

    folder: Path

    def snapshot(self, positions: Mapping[str, int]) -> Path:
        """A snapshot file."""
        path = self.folder / "snapshot.json"
        path.write_bytes(encode_snapshot(snapshot_of(positions)))
        return path

    def policy(self) -> tuple[object, ...]:
        """--policy FILE --inputs FILE."""
        inputs = PolicyInputs(TEXT, NOTHING, PRICES, RATES, NOW, 1, zero_stale=False)
        made = build_policy(inputs.spec(), PRICES, RATES, as_of=NOW, epoch=1)
        (self.folder / "policy.json").write_bytes(encode_policy(made))
        (self.folder / "inputs.json").write_bytes(encode_inputs(inputs))
        return "--policy", self.folder / "policy.json", "--inputs", self.folder / "inputs.json"

    def store(self, home: Path, name: str, positions: Mapping[str, int]) -> None:
        """Store a snapshot under an account's name, which is made when there is none."""
        with Home(home).store() as store:
            if name not in {account.name for account in store.accounts()}:
                Home(home).create_account(store, name, sub_account=0, key_file=None, now=NOW)
            store.add_snapshot(
                encode_snapshot(snapshot_of(positions)),
                account=name,
                cut_time=NOW - 15,
                complete=True,
                now=NOW,
            )
