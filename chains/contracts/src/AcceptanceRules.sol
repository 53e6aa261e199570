// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IProofVerifier} from "./IProofVerifier.sol";

/// @title What a registry accepts: verifiers, attestors, policies, coverages
/// @notice The owner, handed over in two steps, sets these. A change holds for submissions after it; what was recorded
/// before runs out at its own `until`, so policy windows and attestations are best kept short.
abstract contract AcceptanceRules is Ownable2Step {
    struct Verifier {
        IProofVerifier verifier;
        bool dev;
    }

    /// @notice A production registry refuses verifiers of keys made without a ceremony.
    bool public immutable production;
    /// @notice Seconds after its cut at which a snapshot is too old to submit.
    uint64 public immutable maxAge;

    /// @notice keccak256 of the EIP-712 domain {name: "counterfoil", version: "1"}. It has no chain id and no contract:
    /// an attestation states a fact that holds everywhere, and the proof's context binds chain, registry and venue.
    bytes32 public constant DOMAIN_SEPARATOR = keccak256(
        abi.encode(
            keccak256("EIP712Domain(string name,string version)"), keccak256("counterfoil"), keccak256("1")
        )
    );
    bytes32 public constant ATTESTATION_TYPEHASH = keccak256(
        "Attestation(uint256 accountId,uint256 commitment,bytes32 anchorsHash,uint64 cutTime,uint64 expiry,bytes32 coverage)"
    );

    /// @notice Signatures of distinct attestors a submission needs (m of m-of-n).
    uint256 public threshold;
    /// @notice Last second at which proofs under a policy root are accepted; 0 for a root never accepted.
    mapping(uint256 policyRoot => uint64 until) public policyUntil;
    /// @notice Whether attestations of this coverage (which chains and kinds were read) are accepted.
    mapping(bytes32 coverage => bool accepted) public coverageAccepted;

    mapping(bytes32 circuitId => Verifier) private _verifiers;
    address[] private _attestors;
    uint256 private _attestorEpoch;
    mapping(address attestor => uint256 epoch) private _attestorSince;

    event VerifierSet(bytes32 indexed circuitId, address verifier, bool dev);
    event AttestorsSet(address[] attestors, uint256 threshold);
    event PolicySet(uint256 indexed policyRoot, uint64 until);
    event CoverageSet(bytes32 indexed coverage, bool accepted);

    error NotAContract(address account);
    error DevVerifierRefused(bytes32 circuitId, address verifier);
    error BadThreshold(uint256 threshold, uint256 attestors);
    error AttestorsNotAscending(uint256 index);
    error UnknownCircuit(bytes32 circuitId);
    error PolicyNotInForce(uint256 policyRoot, uint64 until, uint256 time);
    error CoverageNotAccepted(bytes32 coverage);
    error TooFewSignatures(uint256 given, uint256 needed);
    error MalformedSignature(uint256 index);
    error NotAnAttestor(uint256 index, address signer);
    error SignersNotAscending(uint256 index, address signer);

    /// @param attestors Ascending addresses.
    /// @param threshold_ 1 to attestors.length.
    constructor(address owner_, bool production_, uint64 maxAge_, address[] memory attestors, uint256 threshold_)
        Ownable(owner_)
    {
        production = production_;
        maxAge = maxAge_;
        _setAttestors(attestors, threshold_);
    }

    /// @notice Accepts the proofs of a circuit through `verifier`, or of none through address 0. Whether the verifier
    /// is a development one is asked of the verifier itself.
    function setVerifier(bytes32 circuitId, IProofVerifier verifier) external onlyOwner {
        bool dev = false;
        if (address(verifier) != address(0)) {
            require(address(verifier).code.length != 0, NotAContract(address(verifier)));
            dev = verifier.dev();
            require(!(dev && production), DevVerifierRefused(circuitId, address(verifier)));
        }
        _verifiers[circuitId] = Verifier(verifier, dev);
        emit VerifierSet(circuitId, address(verifier), dev);
    }

    /// @notice Replaces the whole attestor set.
    /// @param attestors Ascending addresses.
    /// @param threshold_ 1 to attestors.length.
    function setAttestors(address[] calldata attestors, uint256 threshold_) external onlyOwner {
        _setAttestors(attestors, threshold_);
    }

    /// @notice Accepts proofs under `policyRoot` up to and including the second `until`; 0 ends it.
    function setPolicy(uint256 policyRoot, uint64 until) external onlyOwner {
        policyUntil[policyRoot] = until;
        emit PolicySet(policyRoot, until);
    }

    /// @notice Accepts or refuses attestations of `coverage`.
    function setCoverage(bytes32 coverage, bool accepted) external onlyOwner {
        coverageAccepted[coverage] = accepted;
        emit CoverageSet(coverage, accepted);
    }

    /// @notice The verifier of a circuit (address 0 when none) and whether its key is a development key.
    function verifierOf(bytes32 circuitId) external view returns (IProofVerifier verifier, bool dev) {
        Verifier storage v = _verifiers[circuitId];
        return (v.verifier, v.dev);
    }

    /// @notice The attestors in force, ascending.
    function attestorSet() external view returns (address[] memory) {
        return _attestors;
    }

    function isAttestor(address account) public view returns (bool) {
        return _attestorSince[account] == _attestorEpoch;
    }

    /// @notice The EIP-712 digest an attestor signs.
    function attestationDigest(
        uint256 accountId,
        uint256 commitment,
        bytes32 anchorsHash,
        uint64 cutTime,
        uint64 expiry,
        bytes32 coverage
    ) public pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(
            DOMAIN_SEPARATOR,
            keccak256(
                abi.encode(ATTESTATION_TYPEHASH, accountId, commitment, anchorsHash, cutTime, expiry, coverage)
            )
        );
    }

    function _requireVerifier(bytes32 circuitId) internal view returns (IProofVerifier verifier) {
        verifier = _verifiers[circuitId].verifier;
        require(address(verifier) != address(0), UnknownCircuit(circuitId));
    }

    function _requirePolicy(uint256 policyRoot) internal view returns (uint64 until) {
        until = policyUntil[policyRoot];
        require(block.timestamp <= until, PolicyNotInForce(policyRoot, until, block.timestamp));
    }

    function _requireCoverage(bytes32 coverage) internal view {
        require(coverageAccepted[coverage], CoverageNotAccepted(coverage));
    }

    /// @dev At least `threshold` signatures, all of them good, by strictly ascending (so distinct) attestors.
    function _requireAttested(bytes32 digest, bytes[] calldata signatures) internal view {
        uint256 needed = threshold;
        require(signatures.length >= needed, TooFewSignatures(signatures.length, needed));
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            (address signer, ECDSA.RecoverError err,) = ECDSA.tryRecoverCalldata(digest, signatures[i]);
            require(err == ECDSA.RecoverError.NoError, MalformedSignature(i));
            require(isAttestor(signer), NotAnAttestor(i, signer));
            require(signer > previous, SignersNotAscending(i, signer));
            previous = signer;
        }
    }

    /// @dev A new epoch retires the attestors of the last one without touching their storage.
    function _setAttestors(address[] memory attestors, uint256 threshold_) private {
        require(threshold_ != 0 && threshold_ <= attestors.length, BadThreshold(threshold_, attestors.length));
        uint256 epoch = ++_attestorEpoch;
        address previous = address(0);
        for (uint256 i = 0; i < attestors.length; ++i) {
            require(attestors[i] > previous, AttestorsNotAscending(i));
            previous = attestors[i];
            _attestorSince[previous] = epoch;
        }
        _attestors = attestors;
        threshold = threshold_;
        emit AttestorsSet(attestors, threshold_);
    }
}
