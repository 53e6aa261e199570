"""Local chains: found, started, funded, and gone when they should be."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from aggregator.model.errors import ToolMissingError, TransactionError
from chains.devnet import Devnet, anvil_binary, dev_accounts, devnet
from chains.rpc import RpcError
from chains.rpc.provider import web3_on
from chains.rpc.values import parse_quantity


def test_the_first_development_account_is_the_known_one() -> None:
    """Known value: anvil's and Hardhat's account (0)."""
    first = dev_accounts()[0]
    assert first.address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert first.key == "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


def test_a_wrong_override_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match=r"\$COUNTERFOIL_ANVIL names .*nothing"):
        anvil_binary({"COUNTERFOIL_ANVIL": str(tmp_path / "nothing")})


async def test_a_program_that_is_not_anvil_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "anvil"
    fake.write_text("#!/bin/sh\necho no such option\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr("chains.devnet.local.anvil_binary", lambda: fake)
    with pytest.raises(ToolMissingError, match="no such option"):
        async with devnet(1):
            pass


@pytest.mark.anvil
async def test_deploy_send_read_and_revert(net: Devnet) -> None:
    token = await net.deploy("TestToken", "Coin", "CN", 6)
    await token.send("mint", net.accounts[1].address, 5)
    assert await token.read("balanceOf", net.accounts[1].address) == (5,)
    with pytest.raises((TransactionError, RpcError), match="revert"):
        await token.send("burn", net.accounts[1].address, 6)
    assert await web3_on(net.endpoint).eth.chain_id == 101


@pytest.mark.anvil
async def test_checkpoints_take_blocks_back(net: Devnet) -> None:
    mark = await net.checkpoint()
    await net.mine(3)
    await net.revert(mark)
    assert parse_quantity((await net.head())["number"], "number") == 0


@pytest.mark.anvil
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel ends the child on Linux only")
async def test_anvil_dies_with_a_killed_parent() -> None:
    """A parent that gets SIGKILL cannot clean up; its chain still goes."""
    script = textwrap.dedent(
        """
        import asyncio
        from chains.devnet import devnet
        async def main():
            async with devnet(7) as net:
                print(net.url, flush=True)
                await asyncio.sleep(60)
        asyncio.run(main())
        """
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    stdout = child.stdout
    assert stdout is not None
    port = int((await stdout.readline()).decode().strip().rpartition(":")[2])
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()
    for _ in range(50):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        writer.close()
        await asyncio.sleep(0.1)
    pytest.fail("anvil outlived its parent")
