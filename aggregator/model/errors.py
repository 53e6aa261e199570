"""The error tree of the whole distribution, drawn once.

    CounterfoilError                     exit 1
    |-- InputError                       exit 2   a file, setting, argument or key is malformed
    |   |-- ConfigError                           a configuration file
    |   |-- PolicyError                           a policy or its spec
    |   |-- FormatError                           a binary or JSON artefact (.r1cs .wtns .zkey bundle)
    |   |-- KeyFileError                          a secret that is missing, too open or of a wrong length
    |   |-- NotFoundError                         nothing is stored under that name
    |   |-- ConflictError                         it contradicts what is stored
    |   `-- StoreError                            the database cannot be used
    |-- ChainError                       exit 3   a chain could not be read as asked
    |   |-- ChainUnreachableError                 no endpoint answered
    |   |-- QuorumError                           endpoints disagree
    |   |-- ReorgError                            an anchored block is no longer canonical
    |   |-- StateProofError                       eth_getProof does not prove what was claimed
    |   |-- PriceError                            stale, deviating or missing price
    |   `-- IncompleteSnapshotError               something is missing and named
    |-- ProofRefusedError                exit 4   a proof, attestation or bundle is not acceptable
    |   |-- ExpiredError                          it was good, until its expiry
    |   `-- WrongAudienceError                    it was made for another venue, chain or registry
    |-- CannotProveError                 exit 5   the statement is false for this account
    |-- TransactionError                 exit 6   a transaction was refused, reverted or not final
    |-- ToolMissingError                 exit 7   node, anvil or another tool is not installed
    `-- AlreadyDoneError                 exit 8   it was done before, and not done again

Every message is one sentence: the thing, the reason, and what to do next. The exit code and the problem
`type` of the HTTP API (RFC 9457) belong to the class.
"""

from __future__ import annotations

from typing import ClassVar


class CounterfoilError(Exception):
    """Root of every error this distribution raises on purpose."""

    exit_code: ClassVar[int] = 1
    problem: ClassVar[str] = "error"

    @property
    def type_uri(self) -> str:
        """RFC 9457 problem type of this class."""
        return f"urn:counterfoil:problem:{self.problem}"


class InputError(CounterfoilError):
    """A file, setting or argument is malformed."""

    exit_code = 2
    problem = "invalid-input"


class ConfigError(InputError):
    """A configuration file is malformed."""

    problem = "invalid-config"


class PolicyError(InputError):
    """A policy, or the spec it is built from, breaks a stated bound."""

    problem = "invalid-policy"


class FormatError(InputError):
    """An artefact (.r1cs .wtns .zkey, proof, bundle, snapshot) is malformed."""

    problem = "invalid-format"


class KeyFileError(InputError):
    """A secret is missing, readable by others, or of a wrong length."""

    problem = "invalid-key"


class NotFoundError(InputError):
    """Nothing is stored under a name or an id."""

    problem = "not-found"


class ConflictError(InputError):
    """What is asked for contradicts what is stored: a name, a key or an address is taken."""

    problem = "conflict"


class StoreError(InputError):
    """The database of accounts and documents cannot be opened, read or written."""

    problem = "store"


class ChainError(CounterfoilError):
    """A chain could not be read as asked."""

    exit_code = 3
    problem = "chain"


class ChainUnreachableError(ChainError):
    """No configured endpoint of a chain answered."""

    problem = "chain-unreachable"


class QuorumError(ChainError):
    """The endpoints of a chain disagree."""

    problem = "quorum"


class ReorgError(ChainError):
    """An anchored block is no longer on the canonical chain."""

    problem = "reorg"


class StateProofError(ChainError):
    """A state proof does not prove the claimed value under the anchored state root."""

    problem = "state-proof"


class PriceError(ChainError):
    """A price is stale, deviates, or is missing."""

    problem = "price"


class IncompleteSnapshotError(ChainError):
    """A snapshot lacks a chain or a reading; the message names it."""

    problem = "incomplete-snapshot"


class ProofRefusedError(CounterfoilError):
    """A proof, attestation or bundle is not acceptable."""

    exit_code = 4
    problem = "proof-refused"


class ExpiredError(ProofRefusedError):
    """A bundle, attestation or policy is past its expiry."""

    problem = "expired"


class WrongAudienceError(ProofRefusedError):
    """A proof was made for another venue, chain or registry."""

    problem = "wrong-audience"


class CannotProveError(CounterfoilError):
    """The statement is false for this account, so no proof exists."""

    exit_code = 5
    problem = "cannot-prove"


class TransactionError(CounterfoilError):
    """A transaction was refused, reverted, or did not become final."""

    exit_code = 6
    problem = "transaction"


class ToolMissingError(CounterfoilError):
    """A tool this command needs is not installed."""

    exit_code = 7
    problem = "tool-missing"


class AlreadyDoneError(CounterfoilError):
    """What is asked for was done before, so that it was not done again."""

    exit_code = 8
    problem = "already-done"
