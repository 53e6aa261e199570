// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title What was revoked, and until when it still counts
/// @notice What was proven under something revoked backs no new pledge from that second on, and after the grace period
/// in force at that second it counts for nothing. A revocation is for good.
/// @dev Each policy, attestor set and verifier has a small id of its kind, never used twice, which the registry stores
/// beside what was proven under it.
abstract contract Revocations is Ownable2Step {
    /// @notice The longest grace period that can be set.
    uint32 public constant MAX_GRACE = 30 days;

    uint256 internal constant POLICY = 1 << 32;
    uint256 internal constant ATTESTORS = 2 << 32;
    uint256 internal constant VERIFIER = 3 << 32;

    /// @notice Seconds that what was proven under a revoked policy, attestor set or verifier still counts, and in
    /// which a margin call is to be met.
    uint32 public gracePeriod = 1 days;
    /// @dev Last second at which something revoked counts; 0 while it is not revoked.
    mapping(uint256 kindAndId => uint256 end) private _revokedEnd;

    event GracePeriodSet(uint32 seconds_);

    error GraceTooLong(uint32 seconds_);

    /// @notice Sets the grace period of later revocations and margin calls; earlier ones keep theirs.
    function setGracePeriod(uint32 seconds_) external onlyOwner {
        require(seconds_ <= MAX_GRACE, GraceTooLong(seconds_));
        gracePeriod = seconds_;
        emit GracePeriodSet(seconds_);
    }

    function _revoke(uint256 kindAndId) internal returns (uint64 end) {
        end = uint64(block.timestamp) + gracePeriod;
        _revokedEnd[kindAndId] = end;
    }

    /// @dev The earlier of `end` and the last second at which this counts.
    function _cutShort(uint256 end, uint256 kindAndId) internal view returns (uint256) {
        uint256 other = _revokedEnd[kindAndId];
        return other != 0 && other < end ? other : end;
    }
}
