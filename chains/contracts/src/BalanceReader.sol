// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Many reads in one eth_call, without a deployed contract: the call carries this creation code with its
/// input, and what the constructor returns in place of code is the answer. Nothing is ever deployed.
///
/// Input, packed big-endian:
///   uint32 gas per call | uint16 most bytes kept of an answer | uint16 T | uint16 P | uint16 N
///   T targets of 20 bytes | P payloads of uint16 length and bytes | N pairs of uint16 target, uint16 payload
/// The payload index 0xffff stands for the target's native balance.
///
/// Answer: uint16 number of pairs done, then for each of them uint8 flags (1 succeeded, 2 answer cut off, 4 answer
/// is a 32-byte word without its leading zero bytes), uint16 length and bytes. It stops early, before a pair, when the gas left or the 24,576 bytes that creation
/// may return (EIP-170) would not do for it; the caller asks again for the rest.
contract BalanceReader {
    constructor(bytes memory input) {
        assembly {
            let head := mload(add(input, 32))
            let callGas := shr(224, head)
            let most := and(shr(208, head), 0xffff)
            let targets := add(input, 44)
            let cursor := add(targets, mul(and(shr(192, head), 0xffff), 20))
            let offsets := mload(0x40)
            let out := offsets
            for { let left := and(shr(176, head), 0xffff) } left { left := sub(left, 1) } {
                mstore(out, cursor)
                out := add(out, 32)
                cursor := add(cursor, add(2, shr(240, mload(cursor))))
            }
            let end := add(cursor, mul(and(shr(160, head), 0xffff), 4))
            let w := add(out, 2)
            let done := 0
            for {} lt(cursor, end) { cursor := add(cursor, 4) } {
                let size := add(sub(w, out), add(most, 35))
                if gt(size, 24576) { break }
                // The call, the 64th that EIP-150 holds back, 200 gas a byte for returning, and slack.
                if lt(gas(), add(add(callGas, div(callGas, 32)), add(mul(size, 210), 100000))) { break }
                let pair := shr(224, mload(cursor))
                let target := shr(96, mload(add(targets, mul(shr(16, pair), 20))))
                let flags := 1
                let kept := 32
                switch and(pair, 0xffff)
                case 0xffff { mstore(add(w, 3), balance(target)) }
                default {
                    let payload := mload(add(offsets, mul(and(pair, 0xffff), 32)))
                    flags := staticcall(callGas, target, add(payload, 2), shr(240, mload(payload)), 0, 0)
                    kept := returndatasize()
                    if gt(kept, most) {
                        kept := most
                        flags := or(flags, 2)
                    }
                    returndatacopy(add(w, 3), 0, kept)
                }
                if eq(kept, 32) {
                    let word := mload(add(w, 3))
                    kept := 0
                    for { let rest := word } rest { rest := shr(8, rest) } { kept := add(kept, 1) }
                    mstore(add(w, 3), shl(sub(256, mul(kept, 8)), word))
                    flags := or(flags, 4)
                }
                mstore8(w, flags)
                mstore8(add(w, 1), shr(8, kept))
                mstore8(add(w, 2), kept)
                w := add(w, add(3, kept))
                done := add(done, 1)
            }
            mstore8(out, shr(8, done))
            mstore8(add(out, 1), done)
            return(out, sub(w, out))
        }
    }
}
