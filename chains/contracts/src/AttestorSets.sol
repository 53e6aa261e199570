// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {AttestorList} from "./AttestorList.sol";
import {Revocations} from "./Revocations.sol";

/// @title Who attests, how many of them it takes, and what they sign
/// @notice The owner replaces the set as a whole, which revokes the one before it.
abstract contract AttestorSets is Revocations {
    /// @notice The largest set that can be put into force.
    uint256 public constant MAX_ATTESTORS = 256;

    /// @notice keccak256 of the EIP-712 domain {name: "counterfoil", version: "1", chainId, verifyingContract}: an
    /// attestation is for one registry, so that one reading of an account does not back pledges in two.
    bytes32 public immutable DOMAIN_SEPARATOR;
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 public constant ATTESTATION_TYPEHASH = keccak256(
        "Attestation(uint256 accountId,uint256 commitment,bytes32 anchorsHash,uint64 cutTime,uint64 expiry,bytes32 coverage)"
    );

    // These three share a storage word with the pause flag, so that a submission reads them all at once.
    AttestorList private _list;
    /// @notice Signatures of distinct attestors a submission needs (m of m-of-n).
    uint16 public threshold;
    /// @notice Id of the attestor set in force.
    uint16 public attestorSetId;

    event AttestorsSet(address[] attestors, uint256 threshold, uint16 id);
    event AttestorsRevoked(uint16 indexed id, uint64 countsUntil);

    error BadThreshold(uint256 threshold, uint256 attestors);
    error TooManyAttestors(uint256 attestors, uint256 most);
    error AttestorsNotAscending(uint256 index);
    error TooFewSignatures(uint256 given, uint256 needed);
    error MalformedSignature(uint256 index);
    error NotAnAttestor(uint256 index, address signer);
    error SignersNotAscending(uint256 index, address signer);

    /// @param attestors Ascending addresses.
    /// @param threshold_ 1 to attestors.length.
    constructor(address[] memory attestors, uint256 threshold_) {
        DOMAIN_SEPARATOR = keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("counterfoil"), keccak256("1"), block.chainid, address(this))
        );
        _setAttestors(attestors, threshold_);
    }

    /// @notice Replaces the whole attestor set and revokes the one before it: what that one attested counts for the
    /// grace period only. With a grace period longer than proofs live, a rotation calls nobody.
    /// @param attestors Ascending addresses.
    /// @param threshold_ 1 to attestors.length.
    function setAttestors(address[] calldata attestors, uint256 threshold_) external onlyOwner {
        uint16 old = attestorSetId;
        emit AttestorsRevoked(old, _revoke(ATTESTORS | old));
        _setAttestors(attestors, threshold_);
    }

    /// @notice The attestors in force, ascending.
    function attestorSet() public view returns (address[] memory attestors) {
        bytes memory code = address(_list).code;
        assembly ("memory-safe") {
            mstore(code, shr(5, mload(code)))
            attestors := code
        }
    }

    function isAttestor(address account) public view returns (bool) {
        address[] memory attestors = attestorSet();
        for (uint256 i = 0; i < attestors.length; ++i) {
            if (attestors[i] == account) return true;
        }
        return false;
    }

    /// @notice The EIP-712 digest an attestor signs.
    function attestationDigest(
        uint256 accountId,
        uint256 commitment,
        bytes32 anchorsHash,
        uint64 cutTime,
        uint64 expiry,
        bytes32 coverage
    ) public view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(
            DOMAIN_SEPARATOR,
            keccak256(
                abi.encode(ATTESTATION_TYPEHASH, accountId, commitment, anchorsHash, cutTime, expiry, coverage)
            )
        );
    }

    /// @dev At least `threshold` signatures, all of them good, by strictly ascending (so distinct) attestors.
    /// @param signatures As EIP-2098 packs them, (r, s with the parity of y in its highest bit).
    /// @return id Of the attestor set in force.
    function _requireAttested(bytes32 digest, bytes32[2][] calldata signatures)
        internal
        view
        returns (uint16 id)
    {
        uint256 needed = threshold;
        id = attestorSetId;
        require(signatures.length >= needed, TooFewSignatures(signatures.length, needed));
        address[] memory attestors = attestorSet();
        uint256 next = 0;
        for (uint256 i = 0; i < signatures.length; ++i) {
            bytes32[2] calldata pair = signatures[i];
            (address signer, ECDSA.RecoverError err,) = ECDSA.tryRecover(digest, pair[0], pair[1]);
            require(err == ECDSA.RecoverError.NoError, MalformedSignature(i));
            // Both lists ascend, so each is walked once.
            address attestor = address(0);
            while (attestor < signer && next < attestors.length) attestor = attestors[next++];
            if (attestor != signer) {
                require(isAttestor(signer), NotAnAttestor(i, signer));
                revert SignersNotAscending(i, signer);
            }
        }
    }

    function _setAttestors(address[] memory attestors, uint256 threshold_) private {
        require(attestors.length <= MAX_ATTESTORS, TooManyAttestors(attestors.length, MAX_ATTESTORS));
        bool fits = threshold_ != 0 && threshold_ <= attestors.length;
        require(fits, BadThreshold(threshold_, attestors.length));
        address previous = address(0);
        for (uint256 i = 0; i < attestors.length; ++i) {
            require(attestors[i] > previous, AttestorsNotAscending(i));
            previous = attestors[i];
        }
        _list = new AttestorList(attestors);
        threshold = uint16(threshold_);
        uint16 id = ++attestorSetId;
        emit AttestorsSet(attestors, threshold_, id);
    }
}
