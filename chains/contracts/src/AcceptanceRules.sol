// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {AttestorSets} from "./AttestorSets.sol";
import {IProofVerifier} from "./IProofVerifier.sol";

/// @title What a registry accepts: verifiers, attestors, policies, coverages
/// @notice The owner, handed over in two steps and best a timelock, sets these. Publishers may add policies and take
/// their own back. The guardian may only pause.
///
/// Ending and revoking. A policy whose window ends, or a circuit beside which a newer one is added, leaves recorded
/// proofs to run out at their own `until`. A policy, attestor set or verifier that is replaced or taken back is revoked
/// (see `Revocations`): the same root, set or verifier set again gets a new id, and old proofs stay with the old one.
abstract contract AcceptanceRules is AttestorSets, Pausable {
    struct Verifier {
        IProofVerifier verifier;
        bool dev;
        uint16 id;
    }

    struct Policy {
        uint32 from;
        uint32 until;
        uint24 id;
        address publisher;
    }

    /// @notice A production registry refuses verifiers of keys made without a ceremony.
    bool public immutable production;
    /// @notice Seconds after its cut at which a snapshot is too old to submit.
    uint64 public immutable maxAge;

    // In the storage word of the attestor set and the pause flag, where there is room for them.
    uint24 private _policies;
    uint16 private _verifierCount;

    /// @notice May pause, and nothing else; address 0 for none.
    address public guardian;
    /// @notice Whether attestations of this coverage (which chains and kinds were read) are accepted.
    mapping(bytes32 coverage => bool accepted) public coverageAccepted;
    /// @notice Whether an address may publish policies.
    mapping(address account => bool allowed) public isPublisher;

    mapping(uint256 policyRoot => Policy) private _policyOf;
    mapping(bytes32 circuitId => Verifier) private _verifiers;

    event VerifierSet(bytes32 indexed circuitId, address verifier, bool dev, uint16 id);
    event PolicySet(uint256 indexed policyRoot, uint64 from, uint64 until, address publisher, uint24 id);
    event PublisherSet(address indexed account, bool allowed);
    event CoverageSet(bytes32 indexed coverage, bool accepted);
    event GuardianSet(address indexed guardian);
    event PolicyRevoked(uint256 indexed policyRoot, uint24 id, uint64 countsUntil);
    event VerifierRevoked(bytes32 indexed circuitId, uint16 id, uint64 countsUntil);

    error NotAContract(address account);
    error DevVerifierRefused(bytes32 circuitId, address verifier);
    error BadWindow(uint64 from, uint64 until);
    error NotPublisher(address account, uint256 policyRoot);
    error NotGuardian(address account);
    error OwnerNeeded();
    error UnknownCircuit(bytes32 circuitId);
    error PolicyNotInForce(uint256 policyRoot, uint64 until, uint256 time);
    error CoverageNotAccepted(bytes32 coverage);

    /// @param attestors Ascending addresses.
    /// @param threshold_ 1 to attestors.length.
    constructor(address owner_, bool production_, uint64 maxAge_, address[] memory attestors, uint256 threshold_)
        Ownable(owner_)
        AttestorSets(attestors, threshold_)
    {
        production = production_;
        maxAge = maxAge_;
    }

    /// @notice Stops new pledges. Release, transfer and poke go on, so no venue is ever locked in, and so do
    /// submissions, so that an account that is called can meet its call.
    function pause() external {
        require(msg.sender == guardian || msg.sender == owner(), NotGuardian(msg.sender));
        _pause();
    }

    /// @notice Refused: without an owner nothing that is accepted could ever be revoked, and no pause ended.
    function renounceOwnership() public view override onlyOwner {
        revert OwnerNeeded();
    }

    /// @notice Ends a pause. The guardian cannot, so a hasty pause is looked at by the owner.
    function unpause() external onlyOwner {
        _unpause();
    }

    /// @notice Names who may pause besides the owner; address 0 for nobody.
    function setGuardian(address guardian_) external onlyOwner {
        guardian = guardian_;
        emit GuardianSet(guardian_);
    }

    /// @notice Accepts the proofs of a circuit through `verifier`, or of none through address 0. Whether the verifier
    /// is a development one is asked of the verifier itself. A verifier that was there before is revoked; to upgrade
    /// and let old proofs live out their time, add the new circuit under its own id and leave the old one.
    function setVerifier(bytes32 circuitId, IProofVerifier verifier) external onlyOwner {
        Verifier memory old = _verifiers[circuitId];
        bool dev = false;
        uint16 id = 0;
        if (address(verifier) != address(0)) {
            require(address(verifier).code.length != 0, NotAContract(address(verifier)));
            dev = verifier.dev();
            require(!(dev && production), DevVerifierRefused(circuitId, address(verifier)));
            id = address(verifier) == address(old.verifier) ? old.id : ++_verifierCount;
        }
        if (old.id != 0 && old.id != id) {
            emit VerifierRevoked(circuitId, old.id, _revoke(VERIFIER | old.id));
        }
        _verifiers[circuitId] = Verifier(verifier, dev, id);
        emit VerifierSet(circuitId, address(verifier), dev, id);
    }

    /// @notice Allows an address to publish policies, or stops it. What it has published stays.
    function setPublisher(address account, bool allowed) external onlyOwner {
        isPublisher[account] = allowed;
        emit PublisherSet(account, allowed);
    }

    /// @notice Accepts proofs under `policyRoot` up to and including the second `until`; 0 revokes it. Another `until`
    /// for a root in force moves its window for submissions after it and touches no recorded proof.
    function setPolicy(uint256 policyRoot, uint64 until) external onlyOwner {
        if (until == 0) {
            _revokePolicy(policyRoot);
        } else {
            _setPolicy(policyRoot, 0, until, msg.sender);
        }
    }

    /// @notice Accepts proofs under `policyRoot` from the second `from` to the second `until`, both included. For
    /// publishers: of a root that is new, revoked, or their own.
    function publishPolicy(uint256 policyRoot, uint64 from, uint64 until) external {
        address publisher = _policyOf[policyRoot].publisher;
        bool free = publisher == address(0) || publisher == msg.sender;
        require(isPublisher[msg.sender] && free, NotPublisher(msg.sender, policyRoot));
        _setPolicy(policyRoot, from, until, msg.sender);
    }

    /// @notice Revokes a policy; for the owner and for who published it.
    function revokePolicy(uint256 policyRoot) external {
        bool own = isPublisher[msg.sender] && _policyOf[policyRoot].publisher == msg.sender;
        require(own || msg.sender == owner(), NotPublisher(msg.sender, policyRoot));
        _revokePolicy(policyRoot);
    }

    /// @notice Accepts or refuses attestations of `coverage` in submissions after this.
    function setCoverage(bytes32 coverage, bool accepted) external onlyOwner {
        coverageAccepted[coverage] = accepted;
        emit CoverageSet(coverage, accepted);
    }

    /// @notice Last second at which proofs under a policy root are accepted; 0 for a root never accepted, or revoked.
    function policyUntil(uint256 policyRoot) external view returns (uint64) {
        return _policyOf[policyRoot].until;
    }

    /// @notice Window, id and publisher of a policy root; all zero for a root never accepted, or revoked.
    function policyOf(uint256 policyRoot) external view returns (Policy memory) {
        return _policyOf[policyRoot];
    }

    /// @notice The verifier of a circuit (address 0 when none) and whether its key is a development key.
    function verifierOf(bytes32 circuitId) external view returns (IProofVerifier verifier, bool dev) {
        Verifier storage v = _verifiers[circuitId];
        return (v.verifier, v.dev);
    }

    function _requireVerifier(bytes32 circuitId) internal view returns (IProofVerifier verifier, uint16 id) {
        Verifier storage v = _verifiers[circuitId];
        (verifier, id) = (v.verifier, v.id);
        require(address(verifier) != address(0), UnknownCircuit(circuitId));
    }

    function _requirePolicy(uint256 policyRoot) internal view returns (uint64 until, uint24 id) {
        Policy storage p = _policyOf[policyRoot];
        (until, id) = (p.until, p.id);
        bool open = block.timestamp >= p.from && block.timestamp <= until;
        require(open, PolicyNotInForce(policyRoot, until, block.timestamp));
    }

    function _requireCoverage(bytes32 coverage) internal view {
        require(coverageAccepted[coverage], CoverageNotAccepted(coverage));
    }

    /// @dev Last second at which a proof counts that was made under these three: the first end of those revoked.
    /// The largest number while none is.
    function _countsUntil(uint24 policyId, uint16 setId, uint16 verifierId) internal view returns (uint256 end) {
        end = _cutShort(type(uint256).max, POLICY | policyId);
        end = _cutShort(end, VERIFIER | verifierId);
        if (setId != attestorSetId) end = _cutShort(end, ATTESTORS | setId);
    }

    function _revokePolicy(uint256 policyRoot) private {
        uint24 id = _policyOf[policyRoot].id;
        delete _policyOf[policyRoot];
        if (id != 0) {
            emit PolicyRevoked(policyRoot, id, _revoke(POLICY | id));
        }
    }

    /// @dev Seconds beyond 32 bits (the year 2106) are kept as the last that fit.
    function _setPolicy(uint256 policyRoot, uint64 from, uint64 until, address publisher) private {
        require(from <= until && from <= type(uint32).max, BadWindow(from, until));
        uint24 id = _policyOf[policyRoot].id;
        if (id == 0) id = ++_policies;
        uint32 last = until > type(uint32).max ? type(uint32).max : uint32(until);
        _policyOf[policyRoot] = Policy(uint32(from), last, id, publisher);
        emit PolicySet(policyRoot, from, last, publisher, id);
    }
}
