"""The README's table of figures, made from bench/results: python -m bench.table rewrites it between its markers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.constraints import TABLE
from bench.record import RESULTS

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- figures: python -m bench.table -->", "<!-- end of figures -->"


def _load(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


def table() -> str:
    """Markdown rows: figure, 16 slots, 64 slots, command."""
    proofs, gas, reads = _load("proofs"), _load("gas")["gas"], _load("reads")
    small, large = proofs["circuits"]["solvency-16"], proofs["circuits"]["solvency-64"]
    rows_of = json.loads(TABLE.read_text())

    def both(title: str, key: str) -> str:
        cells = [_time(c["seconds"][key]) for c in (small, large)]
        return f"| {title} | {cells[0]} | {cells[1]} | `bench.proofs` |"

    peers = [c.get("snarkjs") for c in (small, large)]
    fast, slow = reads["loopback"], reads["with20msPerExchange"]
    lines = [
        f"{proofs['machine']['cores']} cores ({proofs['machine']['cpu']}), {proofs['date']}; medians.",
        "",
        "| figure | 16 slots | 64 slots | command |",
        "|---|---|---|---|",
        f"| constraints | {small['rows']:,} | {large['rows']:,} | `bench.constraints` |",
        f"| of these per slot | {rows_of['solvency-16']['rowsPerSlot']:,} | "
        f"{rows_of['solvency-64']['rowsPerSlot']:,} | `bench.constraints` |",
        both("compile the circuit", "compile"),
        both("make a dev key", "key"),
        both("witness", "witness"),
        both("prove", "prove"),
    ]
    if all(peers):
        times = " | ".join(f"{p['timesOurs']} x ours" for p in peers)
        lines.append(f"| snarkjs, same key and witness | {times} | `bench.proofs --snarkjs` |")
    lines += [
        both("verify in Rust", "verifyRust"),
        both("verify in py-ecc", "verifyPyEcc"),
        "",
        "| on chain | gas | command |",
        "|---|---|---|",
        f"| verify, whole transaction | {gas['verify']['transaction']:,} | `bench.gas` |",
        f"| submit, 2 attestors, first of an account | {gas['submit']['firstOfAccount2Attestors']:,} | `bench.gas` |",
        f"| submit, 3 attestors, later | {gas['submit']['next3Attestors']:,} | `bench.gas` |",
        f"| pledge, first / later | {gas['pledge']['first']:,} / {gas['pledge']['next']:,} | `bench.gas` |",
        f"| release | {gas['release']:,} | `bench.gas` |",
        "",
        f"| reading {reads['balances']} balances | HTTP exchanges | loopback | 20 ms an exchange | command |",
        "|---|---|---|---|---|",
    ]
    for title, key in (
        ("ours, batched and pinned", "ours"),
        ("ours, anchored and every balance proven", "oursAnchoredAndProven"),
        ("web3 calls, one by one", "web3OneByOne"),
        ("web3 calls, all at once", "web3Concurrent"),
    ):
        trips, near, far = fast[key]["roundTrips"], fast[key]["seconds"], slow[key]["seconds"]
        lines.append(f"| {title} | {trips:,} | {near:.3f} s | {far:.3f} s | `bench.reads` |")
    return "\n".join(lines)


def _time(figure: float | dict[str, float]) -> str:
    s = figure["median"] if isinstance(figure, dict) else figure
    return f"{s * 1000:.1f} ms" if s < 0.1 else f"{s:.2f} s"


def main() -> None:
    """Puts the table into the README."""
    text = README.read_text()
    before, rest = text.split(BEGIN)
    README.write_text(before + BEGIN + "\n" + table() + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
