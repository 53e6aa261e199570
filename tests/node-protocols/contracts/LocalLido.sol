// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A stand-in for stETH, whose own contracts no npm package has: its words and sums in three versions of its
/// accounting, with shares that anyone mints and reports that anyone makes.
contract LocalLido {
    mapping(address => uint256) public sharesOf;

    string public constant symbol = "stETH";
    uint8 public constant decimals = 18;

    /// @notice Sets every word of the version that is given.
    function report(uint256 version, bytes32[] calldata names, uint256[] calldata words) external {
        store("lido.Versioned.contractVersion", version);
        for (uint256 n = 0; n < names.length; n++) {
            bytes32 slot = names[n];
            uint256 word = words[n];
            assembly {
                sstore(slot, word)
            }
        }
    }

    function mintShares(address to, uint256 amount) external {
        sharesOf[to] += amount;
    }

    function balanceOf(address holder) external view returns (uint256) {
        return getPooledEthByShares(sharesOf[holder]);
    }

    function getContractVersion() public view returns (uint256) {
        return load("lido.Versioned.contractVersion");
    }

    function getPooledEthByShares(uint256 shares) public view returns (uint256) {
        (uint256 ether_, uint256 total) = getContractVersion() == 2
            ? second()
            : getContractVersion() == 3 ? third() : fourth();
        return shares * ether_ / total;
    }

    function second() internal view returns (uint256, uint256) {
        uint256 seen = load("lido.Lido.beaconValidators");
        uint256 waiting = (load("lido.Lido.depositedValidators") - seen) * 32 ether;
        uint256 pooled = load("lido.Lido.bufferedEther") + load("lido.Lido.beaconBalance") + waiting;
        return (pooled, load("lido.StETH.totalShares"));
    }

    function third() internal view returns (uint256, uint256) {
        uint256 shares = load("lido.StETH.totalAndExternalShares");
        uint256 buffer = load("lido.Lido.bufferedEtherAndDepositedValidators");
        uint256 layer = load("lido.Lido.clBalanceAndClValidators");
        uint256 waiting = ((buffer >> 128) - (layer >> 128)) * 32 ether;
        return (uint128(buffer) + uint128(layer) + waiting, uint128(shares) - (shares >> 128));
    }

    function fourth() internal view returns (uint256, uint256) {
        uint256 shares = load("lido.StETH.totalAndExternalShares");
        uint256 buffer = load("lido.Lido.bufferedEtherAndDepositedPostReport");
        uint256 layer = load("lido.Lido.clValidatorsBalanceAndClPendingBalance");
        uint256 pooled = uint128(buffer) + (buffer >> 128) + uint128(layer) + (layer >> 128);
        return (pooled, uint128(shares) - (shares >> 128));
    }

    function load(string memory name) internal view returns (uint256 word) {
        bytes32 slot = keccak256(bytes(name));
        assembly {
            word := sload(slot)
        }
    }

    function store(string memory name, uint256 word) internal {
        bytes32 slot = keccak256(bytes(name));
        assembly {
            sstore(slot, word)
        }
    }
}

/// @notice A stand-in for wstETH: the address of stETH is in its eighth word.
contract LocalWstETH is ERC20 {
    uint256[2] internal spare;
    LocalLido public stETH;

    constructor(LocalLido steth) ERC20("Wrapped", "wstETH") {
        stETH = steth;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function stEthPerToken() external view returns (uint256) {
        return stETH.getPooledEthByShares(1 ether);
    }
}
