"""docs/collateral.md against the code: every kind and form is in its tables, and its example runs as it is printed."""

from __future__ import annotations

import re
import time
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aggregator.model.errors import StateProofError
from aggregator.model.snapshot import Method, encode_snapshot, parse_snapshot
from chains.balances import take_snapshot_with_evidence, verify_evidence
from chains.balances.forms import FORMS
from chains.balances.registry import LENDING_ASSETS, POSITION_ASSETS, TOKEN_ASSETS
from chains.devnet import Devnet
from chains.networks import TOKEN_KINDS, parse_network
from tests.chains.protocols import odd_tokens
from tests.chains.scenes import network, token

TEXT = (Path(__file__).parents[2] / "docs" / "collateral.md").read_text()
ALICE = "0x00000000000000000000000000000000000a11ce"


def table(heading: str) -> list[str]:
    """First cells of the first table below a text."""
    below = TEXT[TEXT.index(heading) :]
    rows = re.findall(r"^\| (.*?) \|", below[: below.index("\n\n", below.index("|---"))], re.MULTILINE)
    return [cell for cell in rows if cell.startswith("`")]


def test_the_tables_list_every_kind_and_every_form() -> None:
    kinds = {name for cell in table("## The kinds") for name in re.findall(r"`([^`]+)`", cell)}
    known = {*TOKEN_ASSETS, *LENDING_ASSETS, *POSITION_ASSETS, "native", "ledger", "compound-v3", "debt"}
    assert kinds == known
    assert set(TOKEN_ASSETS) == set(TOKEN_KINDS)
    forms = {name for cell in table("The words of the state") for name in re.findall(r"`([^`]+)`", cell)}
    assert forms == set(FORMS)


def test_the_network_file_examples_are_read_as_they_are_printed() -> None:
    """Each TOML block, in an otherwise empty network file."""
    blocks = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        head = 'name = "X"\nchain_id = 1\nendpoints = ["http://127.0.0.1:1"]\nnative = { symbol = "ETH" }\n'
        made = parse_network(tomllib.loads(head + block), "docs/collateral.md")
        assert made.tokens or made.lending or made.comets or made.positions


def example(folder: Path) -> ModuleType:
    """The module that the page prints, written to `folder` and imported."""
    (source,) = (b for b in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "Kind `wrapped`" in b)
    (folder / "wrapped.py").write_text(source)
    spec = spec_from_file_location("wrapped", folder / "wrapped.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.anvil
@pytest.mark.node
async def test_the_worked_example_reads_and_proves_the_published_wrapper(
    net: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Any = example(tmp_path)
    monkeypatch.setitem(TOKEN_ASSETS, "wrapped", made.Wrapped)
    monkeypatch.setitem(FORMS, "wrapped", made.WrappedForm())
    coin = await net.deploy("TestToken", "Coin", "CN", 6)
    wrapper = await net.deploy_artifact(odd_tokens()["WrapperToken"], coin)
    owner = net.accounts[0].address
    await coin.send("mint", owner, 500)
    await coin.send("approve", wrapper, 500)
    described = network(net, token(wrapper, "wCN", 6, "wrapped"))

    async def read() -> Any:
        return await take_snapshot_with_evidence(
            [described], account_id=7, addresses=(ALICE,), cut=int(time.time()) + 5, env={}
        )

    empty, _ = await read()
    assert "has no tokens at all" in empty.missing[0]
    await wrapper.send("depositFor", ALICE, 300)
    await wrapper.send("depositFor", owner, 200)
    snapshot, evidence = await read()
    assert snapshot.complete, snapshot.missing
    reading = next(r for r in snapshot.readings if r.kind == "wrapped")
    assert (reading.raw, reading.method, reading.detail["totalSupply"]) == (300, Method.PROVEN, "500")
    assert reading.detail["underlying"] == coin.address.lower()
    assert verify_evidence(snapshot, evidence).proven == 2
    forged = encode_snapshot(snapshot).replace(b'"totalSupply":"500"', b'"totalSupply":"300"')
    with pytest.raises(StateProofError, match="totalSupply"):
        verify_evidence(parse_snapshot(forged), evidence)
