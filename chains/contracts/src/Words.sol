// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev One word per account: latest cut, what is proven at IM and under what, the sum of pledges. `more` says that
/// there is a `More` of the account.
struct Book {
    uint32 cutTime;
    uint32 until;
    uint64 amount;
    uint24 policyId;
    uint16 setId;
    uint16 verifierId;
    uint64 pledged;
    bool more;
}

/// @dev Read and written only while `Book.more` is set: what is proven at MM, and a running margin call.
struct More {
    uint32 until;
    uint64 amount;
    uint24 policyId;
    uint16 setId;
    uint16 verifierId;
    uint32 deadline;
}

/// @dev One word per account and venue: cut and expiry of the last statement addressed to it, the best of that cut
/// (until, amount, level), what it has pledged and since when. `amount` is the venue's share of the account's and so
/// may be narrower: 72 billion USD, and a larger one is kept as that.
struct Line {
    uint32 cutTime;
    uint32 expiry;
    uint32 until;
    uint32 since;
    uint64 pledged;
    uint56 amount;
    uint8 level;
}

/// @dev Writes a struct of one word at once. The compiler would write field by field, each with a load and a store of
/// 100 gas. Fields are in Solidity's own order, the first in the lowest bits, so reads need no counterpart.
function putBook(Book storage slot, Book memory b) {
    uint256 word = uint256(b.cutTime) | (uint256(b.until) << 32) | (uint256(b.amount) << 64)
        | (uint256(b.policyId) << 128) | (uint256(b.setId) << 152) | (uint256(b.verifierId) << 168)
        | (uint256(b.pledged) << 184) | (b.more ? 1 << 248 : 0);
    assembly ("memory-safe") {
        sstore(slot.slot, word)
    }
}

/// @dev As `putBook`.
function putLine(Line storage slot, Line memory l) {
    uint256 word = uint256(l.cutTime) | (uint256(l.expiry) << 32) | (uint256(l.until) << 64)
        | (uint256(l.since) << 96) | (uint256(l.pledged) << 128) | (uint256(l.amount) << 192)
        | (uint256(l.level) << 248);
    assembly ("memory-safe") {
        sstore(slot.slot, word)
    }
}

/// @dev A time in 32 bits; one beyond them is kept as the last that fits.
function time32(uint256 time) pure returns (uint32) {
    return time > type(uint32).max ? type(uint32).max : uint32(time);
}
