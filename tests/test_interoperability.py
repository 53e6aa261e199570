"""snarkjs and we, step by step, on the solvency statement at its smallest: each accepts what the other makes.

A first key, contributions and a beacon by snarkjs are checked and used by us and by all three verifiers; ours by
snarkjs, by `zkey verify` as a whole. `python -m bench.interop` does it on the large circuits.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest

from aggregator.model.errors import ProofRefusedError
from circuits import _native, formats
from circuits.ceremony import beacons
from circuits.field import MODULUS
from circuits.groth16 import ProvingKey, open_key, prove
from circuits.verifiers import native, pyecc
from tests.circuits.malformed import section, with_section
from tests.circuits.test_native_snarkjs import snarkjs
from tests.circuits.tiny import tiny

pytestmark = [pytest.mark.node, pytest.mark.slow]

ROOT = Path(__file__).parent.parent
POWER = 12
BEACON = bytes(range(32))
ITERATIONS = 10
SLOW_S = 600
"""For the two commands of snarkjs that make a first key: a minute each on two free cores."""
EVERY_EQUATION = {*(f"S{n}" for n in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11)), "M1", "M2", "M3", "M4", "M5", "M7"}
"""S6 has no rows where there is a cell for each class. M6 is the requirement, which the rows of M7 contain."""


@dataclass(frozen=True)
class Scene:
    """A folder with small.r1cs, small.wtns, powers.ptau, and theirs0.zkey to theirs3.zkey made by snarkjs."""

    folder: Path

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @cached_property
    def numbers(self) -> dict[str, object]:
        """What our builder says of the circuit."""
        value: dict[str, object] = json.loads((self / "small.json").read_bytes())
        return value

    @property
    def public(self) -> list[int]:
        """The five public signals of the witness."""
        return formats.parse_public(self.numbers["public"])

    @property
    def witness(self) -> bytes:
        """The witness."""
        return _native.read_wtns(self / "small.wtns")

    def key(self, name: str) -> ProvingKey:
        """A key, opened against the circuit."""
        return open_key(self / name, _native.Circuit.read_r1cs(self / "small.r1cs"))


def run(*arguments: str | Path, timeout: float = 120) -> str:
    """What snarkjs prints, without colours; it has to succeed."""
    done = snarkjs(*arguments, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    made = Scene(tmp_path_factory.mktemp("interoperability"))
    subprocess.run(
        [sys.executable, "-m", "tests.circuits.small_instance", str(made.folder)],
        check=True,
        cwd=ROOT,
        timeout=120,
    )
    _native.make_powers(made / "powers.ptau", POWER, True, "tests")
    setup = (made / "small.r1cs", made / "powers.ptau", made / "theirs0.zkey")
    run("groth16", "setup", *setup, timeout=SLOW_S)
    for number in range(2):
        before, after = made / f"theirs{number}.zkey", made / f"theirs{number + 1}.zkey"
        run("zkey", "contribute", before, after, f"--name=participant {number}", "-e=dice")
    run(
        "zkey",
        "beacon",
        made / "theirs2.zkey",
        made / "theirs3.zkey",
        BEACON.hex(),
        str(ITERATIONS),
        "-n=end",
    )
    return made


def test_the_instance_has_every_equation_and_fits_2_12(scene: Scene) -> None:
    assert set(scene.numbers["equations"]) == EVERY_EQUATION  # type: ignore[call-overload]
    assert _native.Circuit.read_r1cs(scene / "small.r1cs").domain_size == 1 << POWER


def test_snarkjs_reads_our_circuit_with_our_numbers(scene: Scene) -> None:
    printed = run("r1cs", "info", scene / "small.r1cs")
    for name, count in (
        ("Wires", scene.numbers["wires"]),
        ("Constraints", scene.numbers["constraints"]),
        ("Private Inputs", scene.numbers["privateInputs"]),
        ("Public Inputs", 5),
        ("Outputs", 0),
    ):
        assert f"# of {name}: {count}\n" in printed
    assert "WITNESS IS CORRECT" in run("wtns", "check", scene / "small.r1cs", scene / "small.wtns")


def test_snarkjs_accepts_our_powers(scene: Scene, tmp_path: Path) -> None:
    small = tmp_path / "powers.ptau"
    _native.make_powers(small, 5, True, "ours")
    printed = run("powersoftau", "verify", small)
    assert "Powers of Tau Ok!" in printed
    assert "Contribution #1: ours" in printed
    data = small.read_bytes()
    small.write_bytes(with_section(data, 14, section(data, 15)))
    assert "Powers of Tau Ok!" not in snarkjs("powersoftau", "verify", small).stdout


def test_our_first_key_is_theirs_byte_for_byte(scene: Scene, tmp_path: Path) -> None:
    circuit = _native.Circuit.read_r1cs(scene / "small.r1cs")
    digest = _native.setup_first_key(circuit, scene / "powers.ptau", tmp_path / "ours.zkey")
    ours, theirs = ((f).read_bytes() for f in (tmp_path / "ours.zkey", scene / "theirs0.zkey"))
    assert hashlib.sha256(ours).digest() == hashlib.sha256(theirs).digest()
    assert section(theirs, 10)[:64] == digest


def test_snarkjs_verifies_our_key_from_r1cs_and_powers(scene: Scene, tmp_path: Path) -> None:
    """`zkey verify` as a whole, on files of which snarkjs made none: powers, circuit, first key, contributions."""
    names = [tmp_path / f"ours{n}.zkey" for n in range(4)]
    circuit = _native.Circuit.read_r1cs(scene / "small.r1cs")
    _native.setup_first_key(circuit, scene / "powers.ptau", names[0])
    hashes = [
        _native.contribute(names[0], names[1], "one", b"dice"),
        _native.contribute(names[1], names[2], "two", b""),
        _native.apply_beacon(names[2], names[3], "end", BEACON, ITERATIONS, beacons.seed(BEACON, ITERATIONS)),
    ]
    files = (scene / "small.r1cs", scene / "powers.ptau", names[3])
    printed = run("zkey", "verify", *files, timeout=SLOW_S)
    assert "ZKey Ok!" in printed
    for digest in hashes:
        assert digest.hex() in re.sub(r"\s", "", printed)
    data = names[3].read_bytes()
    names[3].write_bytes(with_section(data, 9, section(names[2].read_bytes(), 9)))
    refused = snarkjs("zkvi", names[0], scene / "powers.ptau", names[3])
    assert "H section does not match" in refused.stdout
    assert "ZKey Ok!" not in refused.stdout


def test_snarkjs_refuses_a_key_of_another_circuit(tmp_path: Path) -> None:
    """The check above can fail at the circuit too: one coefficient of 14 rows is another."""
    rows = tiny().rows
    other = replace(tiny(), rows=[*rows[:-2], ({3: 2, 4: 1}, {0: 1}, {15: 1}), rows[-1]])
    for name, spec in (("tiny", tiny()), ("other", other)):
        spec.build().write_r1cs(tmp_path / f"{name}.r1cs")
    circuit = _native.Circuit.read_r1cs(tmp_path / "tiny.r1cs")
    _native.make_powers(tmp_path / "powers.ptau", 5, True, "ours")
    _native.setup_first_key(circuit, tmp_path / "powers.ptau", tmp_path / "0.zkey")
    _native.contribute(tmp_path / "0.zkey", tmp_path / "1.zkey", "one", b"")
    accepted, refused = (
        snarkjs("zkey", "verify", tmp_path / f"{name}.r1cs", tmp_path / "powers.ptau", tmp_path / "1.zkey")
        for name in ("tiny", "other")
    )
    assert "ZKey Ok!" in accepted.stdout
    assert "ZKey Ok!" not in refused.stdout


def test_we_verify_their_contributions_and_beacon(scene: Scene) -> None:
    first, last = scene / "theirs0.zkey", scene / "theirs3.zkey"
    _native.verify_ceremony(last, first, [beacons.seed(BEACON, ITERATIONS)])
    _, found = _native.read_transcript(last)
    assert [entry[0] for entry in found] == ["participant 0", "participant 1", "end"]
    assert found[2][2] == (ITERATIONS, BEACON)
    with pytest.raises(ValueError, match="contribution 3 is not what its beacon gives"):
        _native.verify_ceremony(last, first, [beacons.seed(BEACON, ITERATIONS + 1)])


def test_we_prove_with_their_key_and_all_verify(scene: Scene, tmp_path: Path) -> None:
    key = scene.key("theirs3.zkey")
    proof = prove(key, scene.witness)
    changed = [*scene.public[:4], scene.public[4] + 1]
    for verify in (native.verify, pyecc.verify):
        verify(key.verification_key, scene.public, proof)
        with pytest.raises(ProofRefusedError, match="does not hold"):
            verify(key.verification_key, changed, proof)
    for name, value in (
        ("vk", formats.encode_verification_key(key.verification_key)),
        ("proof", formats.encode_proof(proof)),
        ("public", formats.encode_public(scene.public)),
        ("changed", formats.encode_public(changed)),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    run("zkey", "export", "verificationkey", scene / "theirs3.zkey", tmp_path / "theirs.json")
    assert json.loads((tmp_path / "theirs.json").read_bytes()) == json.loads(
        (tmp_path / "vk.json").read_bytes()
    )
    files = [tmp_path / f"{name}.json" for name in ("vk", "public", "proof")]
    assert "OK!" in run("groth16", "verify", *files)
    shutil.copyfile(tmp_path / "changed.json", files[1])
    assert snarkjs("groth16", "verify", *files).returncode == 1


@pytest.mark.anvil
async def test_the_contract_verifies_a_proof_with_their_key(scene: Scene) -> None:
    from aggregator.cli.verifying import deploy_verifier
    from chains.contracts.calldata import proof_words
    from chains.contracts.coding import call_data, decode_result
    from chains.devnet import devnet
    from chains.rpc.values import encode_data, parse_data

    key = scene.key("theirs3.zkey")
    proof = prove(key, scene.witness)
    async with devnet(101) as net:
        contract = await deploy_verifier(net, key.verification_key)

        async def accepts(public: list[int]) -> bool:
            data = call_data("Groth16Verifier", "verify", proof_words(proof), public)
            answer = await net.endpoint.call(
                "eth_call", [{"to": contract, "data": encode_data(data)}, "latest"]
            )
            (good,) = decode_result("Groth16Verifier", "verify", parse_data(answer, "verify"))
            return bool(good)

        assert await accepts(scene.public)
        assert not await accepts([*scene.public[:4], scene.public[4] + 1])
        assert not await accepts([*scene.public[:4], scene.public[4] + MODULUS])
