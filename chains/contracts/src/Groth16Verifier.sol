// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProofVerifier} from "./IProofVerifier.sol";

/// @title Groth16 verifier over BN254 for five public inputs
/// @notice The verifying key is given once, to the constructor, and is kept in the code as immutables: a word read
/// from code costs 3 gas, a word read from a data contract starts at 2600 for the account.
/// @dev Source of the equation: Groth, "On the Size of Pairing-based Non-interactive Arguments", section 3.2:
///
///     e(A, B) = e(alpha, beta) * e(X, gamma) * e(C, delta),   X = IC_0 + sum_i inputs_i * IC_i
///
/// checked as e(-A, B) * e(alpha, beta) * e(X, gamma) * e(C, delta) = 1 by one call of the pairing precompile.
/// Precompiles: 6 adds and 7 multiplies in G1 (EIP-196), 8 checks a product of pairings (EIP-197). All three fail on
/// a coordinate >= q and on a point off its curve, 8 also on a point of G2 outside the subgroup of order r. A failing
/// precompile burns the gas it was given (63/64 of what is left), so simulate a transaction before sending it. With
/// too little gas the answer is false, never true; so a gas estimate of `verify` itself comes out too low, while one
/// of a caller that reverts on false is right.
contract Groth16Verifier is IProofVerifier {
    /// @dev Elements of F_q2 are given imaginary part first, as EIP-197 wants them.
    struct VerifyingKey {
        uint256[2] alpha;
        uint256[4] beta;
        uint256[4] gamma;
        uint256[4] delta;
        uint256[2][6] ic;
    }

    /// @dev Order of the base field F_q of BN254 (EIP-196).
    uint256 private constant Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583;
    /// @dev Order of the groups, and so the modulus of the public inputs (EIP-196).
    uint256 private constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

    uint256 private constant EC_ADD = 6;
    uint256 private constant EC_MUL = 7;
    uint256 private constant EC_PAIRING = 8;

    uint256 private immutable ALPHA_X;
    uint256 private immutable ALPHA_Y;
    uint256 private immutable BETA_X1;
    uint256 private immutable BETA_X0;
    uint256 private immutable BETA_Y1;
    uint256 private immutable BETA_Y0;
    uint256 private immutable GAMMA_X1;
    uint256 private immutable GAMMA_X0;
    uint256 private immutable GAMMA_Y1;
    uint256 private immutable GAMMA_Y0;
    uint256 private immutable DELTA_X1;
    uint256 private immutable DELTA_X0;
    uint256 private immutable DELTA_Y1;
    uint256 private immutable DELTA_Y0;
    uint256 private immutable IC0_X;
    uint256 private immutable IC0_Y;
    uint256 private immutable IC1_X;
    uint256 private immutable IC1_Y;
    uint256 private immutable IC2_X;
    uint256 private immutable IC2_Y;
    uint256 private immutable IC3_X;
    uint256 private immutable IC3_Y;
    uint256 private immutable IC4_X;
    uint256 private immutable IC4_Y;
    uint256 private immutable IC5_X;
    uint256 private immutable IC5_Y;

    /// @notice keccak256(abi.encode(VerifyingKey)), to compare with the key one expects.
    bytes32 public immutable keyDigest;
    /// @inheritdoc IProofVerifier
    bool public immutable dev;

    /// @notice A point of the key is not in its group, or is the point at infinity.
    /// @param index 0 alpha, 1 beta, 2 gamma, 3 delta, 4 + i for IC_i.
    error BadKeyPoint(uint256 index);
    /// @notice gamma equals delta: the key skipped its second phase, and with it anyone can prove anything.
    error GammaEqualsDelta();

    /// @param key The verifying key.
    /// @param dev_ Whether the key was made without a multi-party ceremony.
    constructor(VerifyingKey memory key, bool dev_) {
        _requireG1(key.alpha, 0);
        _requireG2(key.beta, 1);
        _requireG2(key.gamma, 2);
        _requireG2(key.delta, 3);
        for (uint256 i = 0; i < 6; ++i) {
            _requireG1(key.ic[i], 4 + i);
        }
        require(keccak256(abi.encode(key.gamma)) != keccak256(abi.encode(key.delta)), GammaEqualsDelta());

        (ALPHA_X, ALPHA_Y) = (key.alpha[0], key.alpha[1]);
        (BETA_X1, BETA_X0, BETA_Y1, BETA_Y0) = (key.beta[0], key.beta[1], key.beta[2], key.beta[3]);
        (GAMMA_X1, GAMMA_X0, GAMMA_Y1, GAMMA_Y0) = (key.gamma[0], key.gamma[1], key.gamma[2], key.gamma[3]);
        (DELTA_X1, DELTA_X0, DELTA_Y1, DELTA_Y0) = (key.delta[0], key.delta[1], key.delta[2], key.delta[3]);
        (IC0_X, IC0_Y) = (key.ic[0][0], key.ic[0][1]);
        (IC1_X, IC1_Y) = (key.ic[1][0], key.ic[1][1]);
        (IC2_X, IC2_Y) = (key.ic[2][0], key.ic[2][1]);
        (IC3_X, IC3_Y) = (key.ic[3][0], key.ic[3][1]);
        (IC4_X, IC4_Y) = (key.ic[4][0], key.ic[4][1]);
        (IC5_X, IC5_Y) = (key.ic[5][0], key.ic[5][1]);
        keyDigest = keccak256(abi.encode(key));
        dev = dev_;
    }

    /// @inheritdoc IProofVerifier
    function verify(uint256[8] calldata proof, uint256[5] calldata inputs) external view returns (bool) {
        // Public inputs are canonical: precompile 7 reduces its scalar, so x and x + r would both pass.
        bool canonical = inputs[0] < R && inputs[1] < R && inputs[2] < R && inputs[3] < R && inputs[4] < R;
        // A.y is canonical, since it is negated before a precompile sees it. They refuse any other coordinate >= q.
        if (!canonical || proof[1] >= Q) return false;
        // No point at infinity, which the precompiles take as (0, 0) and an honest prover never makes.
        if ((proof[0] | proof[1]) == 0) return false;
        if ((proof[2] | proof[3] | proof[4] | proof[5]) == 0) return false;
        if ((proof[6] | proof[7]) == 0) return false;

        // Four pairs of (G1: x y, G2: x.c1 x.c0 y.c1 y.c0).
        uint256[24] memory p;
        // X = IC_0 + sum_i inputs_i * IC_i, in words 12-13, where it is wanted; words 14-16 are scratch until then.
        uint256 sum;
        assembly ("memory-safe") {
            sum := add(p, 0x180)
        }
        p[12] = IC0_X;
        p[13] = IC0_Y;
        bool ok = _addMul(sum, IC1_X, IC1_Y, inputs[0]);
        ok = _addMul(sum, IC2_X, IC2_Y, inputs[1]) && ok;
        ok = _addMul(sum, IC3_X, IC3_Y, inputs[2]) && ok;
        ok = _addMul(sum, IC4_X, IC4_Y, inputs[3]) && ok;
        ok = _addMul(sum, IC5_X, IC5_Y, inputs[4]) && ok;
        // -A and B. No point of G1 has y = 0 (the order is odd), so q - A.y is canonical for a point on the curve.
        p[0] = proof[0];
        p[1] = Q - proof[1];
        p[2] = proof[2];
        p[3] = proof[3];
        p[4] = proof[4];
        p[5] = proof[5];
        // alpha and beta.
        p[6] = ALPHA_X;
        p[7] = ALPHA_Y;
        p[8] = BETA_X1;
        p[9] = BETA_X0;
        p[10] = BETA_Y1;
        p[11] = BETA_Y0;
        // gamma, beside X.
        p[14] = GAMMA_X1;
        p[15] = GAMMA_X0;
        p[16] = GAMMA_Y1;
        p[17] = GAMMA_Y0;
        // C and delta.
        p[18] = proof[6];
        p[19] = proof[7];
        p[20] = DELTA_X1;
        p[21] = DELTA_X0;
        p[22] = DELTA_Y1;
        p[23] = DELTA_Y0;

        // The answer, 0 or 1, overwrites the first word of the input.
        uint256 start;
        assembly ("memory-safe") {
            start := p
        }
        return ok && _precompile(EC_PAIRING, start, 0x300, start, 0x20) && p[0] == 1;
    }

    /// @dev sum += scalar * (x, y), with the sum in the two words at `sum` and the three after them as scratch:
    /// precompile 7 reads (x, y, scalar) from there and writes the product, precompile 6 reads sum and product.
    function _addMul(uint256 sum, uint256 x, uint256 y, uint256 scalar) private view returns (bool) {
        uint256 term;
        assembly ("memory-safe") {
            term := add(sum, 0x40)
            mstore(term, x)
            mstore(add(term, 0x20), y)
            mstore(add(term, 0x40), scalar)
        }
        return _precompile(EC_MUL, term, 0x60, term, 0x40) && _precompile(EC_ADD, sum, 0x80, sum, 0x40);
    }

    /// @dev True when the precompile took its input and gave exactly `outSize` bytes. The size is checked because a
    /// call to an address without code succeeds with none: on a chain that lacks the precompile nothing verifies.
    /// `input` and `out` point into arrays of the caller's.
    function _precompile(uint256 id, uint256 input, uint256 inSize, uint256 out, uint256 outSize)
        private
        view
        returns (bool ok)
    {
        assembly ("memory-safe") {
            ok := staticcall(gas(), id, input, inSize, out, outSize)
            ok := and(ok, eq(returndatasize(), outSize))
        }
    }

    /// @dev A point of G1 other than infinity: adding it to itself makes precompile 6 check it.
    function _requireG1(uint256[2] memory point, uint256 index) private view {
        uint256[4] memory m = [point[0], point[1], point[0], point[1]];
        uint256 start;
        assembly ("memory-safe") {
            start := m
        }
        bool finite = (point[0] | point[1]) != 0;
        require(finite && _precompile(EC_ADD, start, 0x80, start, 0x40), BadKeyPoint(index));
    }

    /// @dev A point of G2 other than infinity: pairing it with infinity makes precompile 8 check it.
    function _requireG2(uint256[4] memory point, uint256 index) private view {
        uint256[6] memory m = [0, 0, point[0], point[1], point[2], point[3]];
        uint256 start;
        assembly ("memory-safe") {
            start := m
        }
        bool finite = (point[0] | point[1] | point[2] | point[3]) != 0;
        require(finite && _precompile(EC_PAIRING, start, 0xc0, start, 0x20), BadKeyPoint(index));
    }
}
