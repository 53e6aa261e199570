// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What the registry asks of a proof verifier: one circuit, one verifying key, five public inputs.
interface IProofVerifier {
    /// @param proof A.x A.y B.x.c1 B.x.c0 B.y.c1 B.y.c0 C.x C.y (of an element of F_q2 the imaginary part first).
    /// @param inputs accountId, commitment, policyRoot, requirementAndLevel, context.
    /// @return True only for a valid proof of exactly these inputs. Malformed points or inputs give false.
    function verify(uint256[8] calldata proof, uint256[5] calldata inputs) external view returns (bool);

    /// @notice True when the proving key was made by one machine, which could have kept the trapdoor.
    function dev() external view returns (bool);
}
