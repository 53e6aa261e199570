"""From an evaluated account to a proof of its excess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aggregator.margin.native import Evaluation
from aggregator.model.errors import CannotProveError, FormatError
from aggregator.model.policy import Policy
from circuits import groth16
from circuits.artifacts import ReadyCircuit
from circuits.assignment import Holder, assign, encode_inputs, public_signals
from circuits.policy_tree import PolicyTree
from circuits.solvency import LARGE, SMALL, Size


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof with its public signals, in the order of docs/protocol.md section 3."""

    public: tuple[int, ...]
    proof: bytes


def size_for(evaluation: Evaluation) -> Size:
    """The smallest circuit that an account fits.

    Raises: CannotProveError when it fits none.
    """
    positions = sum(1 for p in evaluation.positions if p.quantity_e8)
    classes = len({p.instrument.class_id for p in evaluation.positions if p.instrument.class_id})
    groups = len(evaluation.groups)
    for size in (SMALL, LARGE):
        if positions <= size.slots and classes <= size.classes and groups <= size.groups:
            return size
    raise CannotProveError(
        f"the account has {positions} positions in {classes} classes and {groups} netting groups; the largest circuit "
        f"takes {LARGE.slots}, {LARGE.classes} and {LARGE.groups}: move positions to another sub-account"
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A witness that satisfies the circuit, with its public signals. It holds secrets; its repr does not."""

    public: tuple[int, ...]
    witness: bytes = field(repr=False)


def prepare(
    circuit: ReadyCircuit,
    policy: Policy,
    tree: PolicyTree,
    evaluation: Evaluation,
    holder: Holder,
    amount_e6: int,
    context: int,
) -> Prepared:
    """The witness of the statement that the account's excess is at least `amount_e6` at the level of `evaluation`.

    Raises: CannotProveError when the excess is smaller, or the account does not fit the circuit.
    """
    if amount_e6 > evaluation.excess_e6:
        raise CannotProveError(
            f"the account's excess at {evaluation.level.name} is {_usd(evaluation.excess_e6)} USD, "
            f"less than the {_usd(amount_e6)} USD asked for; ask for less or add collateral"
        )
    inputs = assign(circuit.size, policy, tree, evaluation, holder, amount_e6, context)
    witness = circuit.witness(encode_inputs(circuit.compiled, inputs))
    return Prepared(public_signals(inputs), witness)


def prove_prepared(key: groth16.ProvingKey, prepared: Prepared) -> Proof:
    """The proof of a prepared statement.

    Raises: FormatError when the key is at fault: the witness was checked row by row.
    """
    try:
        return Proof(prepared.public, groth16.prove(key, prepared.witness))
    except CannotProveError as error:
        raise FormatError(
            f"{key.path}: it makes no proof of a statement that was checked ({error}); make or fetch the key again"
        ) from error


def prove(
    circuit: ReadyCircuit,
    key: groth16.ProvingKey,
    policy: Policy,
    tree: PolicyTree,
    evaluation: Evaluation,
    holder: Holder,
    amount_e6: int,
    context: int,
    step: Callable[[str], object] = lambda _: None,
) -> Proof:
    """`prepare` and `prove_prepared` in one. `step` is told what is being done ("witness", "proof")."""
    step("witness")
    prepared = prepare(circuit, policy, tree, evaluation, holder, amount_e6, context)
    step("proof")
    return prove_prepared(key, prepared)


def _usd(amount_e6: int) -> str:
    sign = "-" if amount_e6 < 0 else ""
    return f"{sign}{abs(amount_e6) // 10**6:,}.{abs(amount_e6) % 10**6:06d}"
