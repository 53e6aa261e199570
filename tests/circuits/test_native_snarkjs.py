"""snarkjs, an independent implementation, accepts our witness, key and proof, and we accept its proof."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from aggregator.model.errors import ProofRefusedError
from circuits import _native, formats
from circuits.field import encode
from circuits.verifiers import native, pyecc
from tests.circuits.conftest import TinyProof

pytestmark = pytest.mark.node

SNARKJS = Path(__file__).parent.parent / "node" / "node_modules" / "snarkjs" / "cli.js"


def snarkjs(*arguments: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    return subprocess.run(
        [node, str(SNARKJS), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture
def wtns(tiny_proof: TinyProof, tmp_path: Path) -> Path:
    _native.write_wtns(tmp_path / "tiny.wtns", tiny_proof.witness)
    return tmp_path / "tiny.wtns"


@pytest.fixture
def vk_json(tiny_proof: TinyProof, tmp_path: Path) -> Path:
    path = tmp_path / "vk.json"
    path.write_text(json.dumps(formats.encode_verification_key(tiny_proof.key.verification_key)))
    return path


def test_snarkjs_checks_our_witness_against_our_r1cs(
    tiny_proof: TinyProof, wtns: Path, tmp_path: Path
) -> None:
    r1cs = tmp_path / "tiny.r1cs"
    tiny_proof.circuit.write_r1cs(r1cs)
    done = snarkjs("wtns", "check", r1cs, wtns)
    assert done.returncode == 0
    assert "WITNESS IS CORRECT" in done.stdout
    _native.write_wtns(wtns, tiny_proof.circuit.witness(encode([36, 777, 5, 7])))
    assert "WITNESS IS CORRECT" not in snarkjs("wtns", "check", r1cs, wtns).stdout


def test_snarkjs_exports_the_verification_key_that_we_export(
    tiny_proof: TinyProof, vk_json: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.json"
    assert snarkjs("zkey", "export", "verificationkey", tiny_proof.key_path, theirs).returncode == 0
    assert json.loads(theirs.read_text()) == json.loads(vk_json.read_text())


def test_snarkjs_verifies_our_proof(tiny_proof: TinyProof, vk_json: Path, tmp_path: Path) -> None:
    public, proof = tmp_path / "public.json", tmp_path / "proof.json"
    public.write_text(json.dumps(formats.encode_public(tiny_proof.public)))
    proof.write_text(json.dumps(formats.encode_proof(tiny_proof.proof)))
    done = snarkjs("groth16", "verify", vk_json, public, proof)
    assert done.returncode == 0
    assert "OK!" in done.stdout
    public.write_text(json.dumps(formats.encode_public([36, 777])))
    assert snarkjs("groth16", "verify", vk_json, public, proof).returncode == 1


def test_both_verifiers_accept_a_proof_that_snarkjs_makes_with_our_key(
    tiny_proof: TinyProof, wtns: Path, tmp_path: Path
) -> None:
    proof_path, public_path = tmp_path / "proof.json", tmp_path / "public.json"
    assert snarkjs("groth16", "prove", tiny_proof.key_path, wtns, proof_path, public_path).returncode == 0
    proof = formats.parse_proof(json.loads(proof_path.read_text()))
    public = formats.parse_public(json.loads(public_path.read_text()))
    assert public == tiny_proof.public
    for verify in (native.verify, pyecc.verify):
        verify(tiny_proof.key.verification_key, public, proof)
        with pytest.raises(ProofRefusedError, match="does not hold"):
            verify(tiny_proof.key.verification_key, [36, 777], proof)


def test_we_prove_with_a_key_that_snarkjs_contributed_to(
    tiny_proof: TinyProof, wtns: Path, tmp_path: Path
) -> None:
    """The second phase of a ceremony on our key: snarkjs changes delta and both sections that depend on it."""
    path = tmp_path / "ceremony.zkey"
    done = snarkjs("zkey", "contribute", tiny_proof.key_path, path, "--name=one", "-e=some entropy")
    assert done.returncode == 0, done.stdout
    key = _native.ProvingKey.open(path)
    assert key.contributions == 1
    assert key.matches(tiny_proof.circuit)
    native.verify(key.verifying_key(), tiny_proof.public, key.prove(tiny_proof.witness))
    assert formats.read_zkey_header(path).contributions == 1
