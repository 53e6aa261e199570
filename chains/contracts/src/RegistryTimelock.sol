// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title The owner of a production registry
/// @notice OpenZeppelin's TimelockController as it is, under a name of its own so that its artifact ships with the
/// package: what the registry accepts changes only after everybody could see it coming for `minDelay` seconds.
contract RegistryTimelock is TimelockController {
    /// @param minDelay Seconds between scheduling and execution.
    /// @param proposers May schedule and cancel.
    /// @param executors May execute when the delay is over; address 0 for anyone.
    /// @dev No extra administrator: the timelock's own roles change through itself.
    constructor(uint256 minDelay, address[] memory proposers, address[] memory executors)
        TimelockController(minDelay, proposers, executors, address(0))
    {}
}
