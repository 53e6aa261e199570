// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AcceptanceRules} from "./AcceptanceRules.sol";
import {IProofVerifier} from "./IProofVerifier.sol";
import {Line, time32} from "./Words.sol";

/// @title What a submission has to show before anything of it is recorded
abstract contract Submissions is AcceptanceRules {
    /// @notice What a relayer brings: everything of a bundle that the chain checks.
    /// @dev `signatures` are by ascending signers, each (r, s with the parity of y in its highest bit) as in EIP-2098.
    struct Submission {
        uint256 accountId;
        uint256 commitment;
        uint256 policyRoot;
        uint256 amount;
        uint8 level;
        address venue;
        uint64 expiry;
        bytes32 anchorsHash;
        uint64 cutTime;
        uint64 attestationExpiry;
        bytes32 coverage;
        bytes32 circuitId;
        uint256[8] proof;
        bytes32[2][] signatures;
    }

    /// @dev What a checked submission amounts to, as wide as it is stored.
    struct Checked {
        uint32 cutTime;
        uint32 expiry;
        uint32 until;
        uint64 amount;
        uint8 level;
        uint24 policyId;
        uint16 setId;
        uint16 verifierId;
    }

    uint8 public constant LEVEL_MM = 0;
    uint8 public constant LEVEL_IM = 1;
    bytes32 public constant CONTEXT_TAG = keccak256("counterfoil/context/1");
    uint256 private constant LEVEL_SHIFT = 80;
    uint256 internal constant AMOUNT_BOUND = 1 << 80;

    error UnknownLevel(uint8 level);
    error AmountTooLarge(uint256 amount);
    error ZeroVenue();
    error ProofExpired(uint64 expiry, uint256 time);
    error AttestationExpired(uint64 expiry, uint256 time);
    error CutInFuture(uint64 cutTime, uint256 time);
    error CutTooOld(uint64 cutTime, uint256 oldestAccepted);
    error CutSuperseded(uint64 cutTime, uint64 latest);
    error NotNewer(uint256 accountId, address venue, uint64 cutTime, uint64 expiry);
    error ProofRejected(bytes32 circuitId);

    /// @notice The fifth public input: for whom and until when a proof submitted here is good, as a field element.
    function contextOf(address venue, uint64 expiry, bytes32 anchorsHash, uint64 cutTime)
        public
        view
        returns (uint256)
    {
        return uint256(
            keccak256(
                abi.encode(CONTEXT_TAG, block.chainid, address(this), venue, expiry, anchorsHash, cutTime)
            )
        ) >> 8;
    }

    /// @dev Every check of a submission, cheap ones first, the proof last.
    /// @param latest The account's latest cut.
    /// @param l What the venue was told of the account before.
    function _check(Submission calldata s, uint32 latest, Line memory l) internal view returns (Checked memory c) {
        // Each is read once: the compiler checks the range of a narrow field every time it is read.
        (uint256 amount, uint8 level, address venue) = (s.amount, s.level, s.venue);
        (uint64 cutTime, uint64 expiry, uint64 attestationExpiry) = (s.cutTime, s.expiry, s.attestationExpiry);
        require(level <= LEVEL_IM, UnknownLevel(level));
        require(amount < AMOUNT_BOUND, AmountTooLarge(amount));
        require(venue != address(0), ZeroVenue());
        require(block.timestamp <= expiry, ProofExpired(expiry, block.timestamp));
        require(block.timestamp <= attestationExpiry, AttestationExpired(attestationExpiry, block.timestamp));
        bool past = cutTime <= block.timestamp && cutTime <= type(uint32).max;
        require(past, CutInFuture(cutTime, block.timestamp));
        uint256 oldest = block.timestamp > maxAge ? block.timestamp - maxAge : 0;
        require(cutTime >= oldest, CutTooOld(cutTime, oldest));
        require(cutTime >= latest, CutSuperseded(cutTime, latest));
        c.expiry = time32(expiry);
        require(_newer(l, cutTime, c.expiry), NotNewer(s.accountId, venue, cutTime, expiry));
        uint64 until;
        (until, c.policyId) = _requirePolicy(s.policyRoot);
        if (expiry < until) until = expiry;
        if (attestationExpiry < until) until = attestationExpiry;
        (c.cutTime, c.until, c.level) = (uint32(cutTime), time32(until), level);
        c.amount = amount > type(uint64).max ? type(uint64).max : uint64(amount);

        _requireCoverage(s.coverage);
        c.setId = _requireAttested(
            attestationDigest(
                s.accountId, s.commitment, s.anchorsHash, cutTime, attestationExpiry, s.coverage
            ),
            s.signatures
        );

        IProofVerifier verifier;
        (verifier, c.verifierId) = _requireVerifier(s.circuitId);
        uint256[5] memory inputs = [
            s.accountId,
            s.commitment,
            s.policyRoot,
            amount | (uint256(level) << LEVEL_SHIFT),
            contextOf(venue, expiry, s.anchorsHash, cutTime)
        ];
        require(verifier.verify(s.proof, inputs), ProofRejected(s.circuitId));
    }

    /// @dev Statements to a venue come in the order of (cut, expiry), each once: no replay, and no word of storage for
    /// it. Both are bound by the proof's context.
    function _newer(Line memory l, uint64 cutTime, uint32 expiry) internal pure returns (bool) {
        return cutTime > l.cutTime || (cutTime == l.cutTime && expiry > l.expiry);
    }
}
