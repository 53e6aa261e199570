"""The README's tables of figures, made from bench/results: python -m bench.table rewrites them between its markers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.constraints import TABLE
from bench.record import RESULTS

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- figures: python -m bench.table -->", "<!-- end of figures -->"
SIZES = ("solvency-16", "solvency-64")


def _load(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


def table() -> str:
    """All tables as Markdown."""
    proofs = _load("proofs")
    head = f"{proofs['machine']['cores']} cores ({proofs['machine']['cpu']}), {proofs['date']}; medians."
    parts = (_proofs(proofs["circuits"]), _peers(), _chain(), _reads(), _book(), _service())
    return "\n\n".join([head, *parts])


def _proofs(circuits: Any) -> str:
    """One proof: rows by circuit."""
    both = [circuits[size] for size in SIZES]
    counted = json.loads(TABLE.read_text())
    batches = [{b["proofs"]: b["secondsEach"] for b in c["batchVerification"]} for c in both]
    minute = _load("batch")["proofsPerMinute"]

    def row(title: str, cells: list[str], command: str) -> str:
        return f"| {title} | {' | '.join(cells)} | `{command}` |"

    def timed(title: str, key: str) -> str:
        return row(title, [_time(c["seconds"][key]) for c in both], "bench.proofs")

    return "\n".join(
        (
            "| figure | 16 slots | 64 slots | command |",
            "|---|---|---|---|",
            row("constraints", [f"{counted[s]['rows']:,}" for s in SIZES], "bench.constraints"),
            row("of these per slot", [f"{counted[s]['rowsPerSlot']:,}" for s in SIZES], "bench.constraints"),
            timed("compile the circuit (once; then cached)", "compile"),
            timed("make a dev key", "key"),
            timed("witness", "witness"),
            timed("prove", "prove"),
            row(
                "peak memory of a proving process",
                [f"{c['freshProcessPeakMegabytes']} MB" for c in both],
                "bench.proofs",
            ),
            row(
                "proofs a minute in a batch", [f"{max(minute[s].values()):.0f}" for s in SIZES], "bench.batch"
            ),
            timed("verify in Rust", "verifyRust"),
            row("each of 1,000 verified together", [_time(b[1000]) for b in batches], "bench.proofs"),
            timed("verify in py-ecc", "verifyPyEcc"),
        )
    )


def _peers() -> str:
    """Other provers on the same constraints and witness, as multiples of ours."""
    found = _load("peers")["circuits"]
    names = {
        "snarkjs": "snarkjs, same key",
        "gnark": "gnark, without its solver",
        "ark-groth16": "ark-groth16",
    }
    lines = [
        "| prove, times ours, in one run | 16 slots | 64 slots | peak memory, 64 slots | command |",
        "|---|---|---|---|---|",
    ]
    for name, title in names.items():
        version = found[SIZES[0]][name].get("version")
        cells = " | ".join(f"{found[size][name]['timesOurs']:.1f} x" for size in SIZES)
        peak = (
            f"{found[SIZES[1]][name]['peakMegabytes']} MB, ours {found[SIZES[1]]['ours']['peakMegabytes']} MB"
        )
        lines.append(f"| {title}{f' ({version})' if version else ''} | {cells} | {peak} | `bench.peers` |")
    return "\n".join(lines)


def _chain() -> str:
    gas = _load("gas")["gas"]
    rows = (
        ("verify, whole transaction", gas["verify"]["transaction"]),
        ("submit, 3 attestors, first of an account", gas["submit"]["firstOfAccount3Attestors"]),
        ("submit, 3 attestors, later", gas["submit"]["next3Attestors"]),
        ("pledge", gas["pledge"]["first"]),
        ("release", gas["release"]),
    )
    lines = [f"| {title} | {used:,} | `bench.gas` |" for title, used in rows]
    return "\n".join(["| on chain | gas | command |", "|---|---|---|", *lines])


def _reads() -> str:
    reads = _load("reads")
    near, far = reads["loopback"], reads["with20msPerExchange"]
    lines = [
        f"| reading {reads['balances']:,} balances | HTTP exchanges | loopback | 20 ms an exchange | command |",
        "|---|---|---|---|---|",
    ]
    for title, key in (
        ("ours, batched and pinned", "ours"),
        ("ours, anchored and every balance proven", "oursAnchoredAndProven"),
        ("multicall.py", "multicallPy"),
        ("web3 and Multicall3", "web3Multicall3"),
        ("web3, one batch request", "web3Batch"),
        ("web3 calls, one by one", "web3OneByOne"),
    ):
        trips = near[key]["roundTrips"]
        lines.append(
            f"| {title} | {trips:,} | {near[key]['seconds']:.3f} s | {far[key]['seconds']:.3f} s | `bench.reads` |"
        )
    return "\n".join(lines)


def _book() -> str:
    book = _load("book")
    lines = [
        f"| book of n accounts x {book['positions']} positions x {book['scenarios']} scenarios | exact, both levels | "
        "SciPy's float product alone | memory | command |",
        "|---|---|---|---|---|",
    ]
    for one in book["full"]:
        exact, product = one["seconds"]["exact"]["median"], one["seconds"]["floatProduct"]["median"]
        times = one["timesFaster"]["floatProduct"]
        lines.append(
            f"| {one['accounts']:,} | {_time(exact)} | {_time(product)}, {times:.1f} x ours | "
            f"{one['memoryBytes'] / 1e6:.0f} MB | `bench.book` |"
        )
    for tick in book["ticks"]:
        title = f"a tick of {tick['asset']}: {tick['shareOfAccounts'] * 100:.0f} % of 100,000 accounts"
        took = f"{_time(tick['seconds']['p50'])}, p99 {_time(tick['seconds']['p99'])}"
        lines.append(f"| {title} | {took} | | | `bench.book` |")
    return "\n".join(lines)


def _service() -> str:
    found, relay = _load("service"), _load("relay")
    stream, soak = found["stream"], found["soak"]
    lost = soak["accountsLost"] + soak["jobsLost"] + soak["jobsEndedTwice"]
    rows = [
        (
            "bundles checked",
            f"{found['verify']['perSecond']:.0f} a second, p99 {found['verify']['p99Ms']:.0f} ms",
            "service",
        ),
        (
            "health read",
            f"{found['health']['perSecond']:.0f} a second, p99 {found['health']['p99Ms']:.0f} ms",
            "service",
        ),
        (
            f"{stream['listeners']:,} listeners, {stream['events']} events",
            f"{stream['received']:,} received, {stream['missed']} missed",
            "service",
        ),
        (f"{soak['kills']} times kill -9 under load", f"{lost} records lost or doubled", "service"),
        _relay_row(relay),
    ]
    lines = [f"| {title} | {figure} | `bench.{command}` |" for title, figure, command in rows]
    return "\n".join(["| service and relayer | | command |", "|---|---|---|", *lines])


def _relay_row(relay: Any) -> tuple[str, str, str]:
    failed = sum(relay["failedWithReason"].values())
    return (
        f"{relay['submissions']:,} submissions, {relay['chains']} chains, {sum(relay['faults'].values()):,} faults, "
        f"{relay['reorganisations']} reorgs, {relay['relayerRestarts']} restarts",
        f"{relay['recordedExactlyOnce']} recorded once, {failed} failed with a reason, {relay['recordedTwice']} twice",
        "relay",
    )


def _time(figure: float | dict[str, float]) -> str:
    s = figure["median"] if isinstance(figure, dict) else figure
    if s < 0.001:
        return f"{s * 1000:.2f} ms"
    return f"{s * 1000:.1f} ms" if s < 0.1 else f"{s:.2f} s"


def main() -> None:
    """Puts the tables into the README."""
    text = README.read_text()
    before, rest = text.split(BEGIN)
    README.write_text(before + BEGIN + "\n" + table() + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
