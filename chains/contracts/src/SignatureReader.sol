// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Asks a contract account whether it signed, in one eth_call and without a deployed contract: the call carries
/// this creation code, and what the constructor returns in place of code is the answer. Nothing is ever deployed.
///
/// An account that is not deployed yet is deployed first, inside the call, as ERC-6492 says: `factory` is called with
/// `preparation`. Unlike ERC-6492, a deployed account that says no is not prepared and asked again.
///
/// Answer, one word: 1 it signed, 2 it did not, 3 there is no account, 4 the factory refused.
contract SignatureReader {
    /// isValidSignature(bytes32,bytes): its selector, and the answer that means yes (ERC-1271).
    bytes4 private constant MAGIC = 0x1626ba7e;

    constructor(
        address account,
        bytes32 digest,
        bytes memory signature,
        address factory,
        bytes memory preparation
    ) {
        uint256 answer = 3;
        if (account.code.length == 0 && factory != address(0)) {
            (bool prepared,) = factory.call(preparation);
            if (!prepared) answer = 4;
        }
        if (account.code.length != 0) {
            (bool ok, bytes memory said) =
                account.staticcall(abi.encodeWithSelector(MAGIC, digest, signature));
            bool signed = ok && said.length == 32 && bytes4(said) == MAGIC;
            answer = signed ? 1 : 2;
        }
        assembly ("memory-safe") {
            mstore(0, answer)
            return(0, 32)
        }
    }
}
