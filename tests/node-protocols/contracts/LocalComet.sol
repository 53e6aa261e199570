// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

interface Asset {
    function decimals() external view returns (uint8);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// @notice A stand-in for a Compound v3 market, whose own contracts no npm package has: its storage words, its index
/// arithmetic and its views, with rates that are constant, and without prices, limits or liquidation.
contract LocalComet {
    uint64 internal constant INDEX = 1e15;

    uint64 internal supplyIndex = INDEX;
    uint64 internal borrowIndex = INDEX;
    uint64 internal trackedSupply;
    uint64 internal trackedBorrow;
    uint104 internal lent;
    uint104 internal owed;
    uint40 internal accruedAt;
    uint8 internal pauseFlags;

    struct Total {
        uint128 amount;
        uint128 reserved;
    }

    struct User {
        int104 principal;
        uint64 trackedIndex;
        uint64 trackedAccrued;
        uint16 assetsIn;
        uint8 reserved;
    }

    struct Collateral {
        uint128 balance;
        uint128 reserved;
    }

    mapping(address => Total) public totalsCollateral;
    mapping(address => mapping(address => bool)) public isAllowed;
    mapping(address => uint256) public userNonce;
    mapping(address => User) public userBasic;
    mapping(address => mapping(address => Collateral)) public userCollateral;

    address public immutable baseToken;
    uint8 public immutable decimals;
    uint256 internal immutable supplyRate;
    uint256 internal immutable borrowRate;
    address[] internal listed;

    /// @param supplyRate_ Interest per second in 1e-18, as `borrowRate_`.
    constructor(address base, uint256 supplyRate_, uint256 borrowRate_, address[] memory assets) {
        baseToken = base;
        decimals = Asset(base).decimals();
        supplyRate = supplyRate_;
        borrowRate = borrowRate_;
        listed = assets;
        accruedAt = uint40(block.timestamp);
    }

    function totalsBasic() external view returns (uint64, uint64, uint64, uint64, uint104, uint104, uint40, uint8) {
        return (supplyIndex, borrowIndex, trackedSupply, trackedBorrow, lent, owed, accruedAt, pauseFlags);
    }

    function getAssetInfoByAddress(address asset)
        external
        view
        returns (uint8 offset, address, address, uint64 scale, uint64, uint64, uint64, uint128)
    {
        offset = place(asset);
        return (offset, asset, address(0), uint64(10 ** Asset(asset).decimals()), 0, 0, 0, type(uint128).max);
    }

    function balanceOf(address user) external view returns (uint256) {
        (uint64 index,) = indices();
        int104 principal = userBasic[user].principal;
        return principal > 0 ? uint256(int256(principal)) * index / INDEX : 0;
    }

    function borrowBalanceOf(address user) external view returns (uint256) {
        (, uint64 index) = indices();
        int104 principal = userBasic[user].principal;
        return principal < 0 ? uint256(-int256(principal)) * index / INDEX : 0;
    }

    function pause(uint8 flags) external {
        pauseFlags = flags;
    }

    function accrueAccount(address) external {
        accrue();
    }

    function supply(address asset, uint256 amount) external {
        require(Asset(asset).transferFrom(msg.sender, address(this), amount));
        if (asset == baseToken) return move(int256(amount));
        userCollateral[msg.sender][asset].balance += uint128(amount);
        uint256 bits = 1 << place(asset);
        userBasic[msg.sender].assetsIn |= uint16(bits);
        userBasic[msg.sender].reserved |= uint8(bits >> 16);
    }

    /// @notice Withdraws the base asset, and borrows what is not there.
    function withdraw(uint256 amount) external {
        move(-int256(amount));
        require(Asset(baseToken).transfer(msg.sender, amount));
    }

    function move(int256 change) internal {
        accrue();
        User storage user = userBasic[msg.sender];
        int256 old = user.principal;
        int256 present = change + (old >= 0 ? old * int64(supplyIndex) : old * int64(borrowIndex)) / int64(INDEX);
        int256 scaled = present * int64(INDEX);
        user.principal = int104(
            present >= 0 ? scaled / int64(supplyIndex) : (scaled - int64(borrowIndex) + 1) / int64(borrowIndex)
        );
    }

    function accrue() internal {
        (supplyIndex, borrowIndex) = indices();
        accruedAt = uint40(block.timestamp);
    }

    function indices() internal view returns (uint64, uint64) {
        uint256 passed = block.timestamp - accruedAt;
        return (
            supplyIndex + uint64(supplyIndex * (supplyRate * passed) / 1e18),
            borrowIndex + uint64(borrowIndex * (borrowRate * passed) / 1e18)
        );
    }

    function place(address asset) internal view returns (uint8) {
        for (uint8 n = 0; n < listed.length; n++) {
            if (listed[n] == asset) return n;
        }
        revert("not listed");
    }
}
