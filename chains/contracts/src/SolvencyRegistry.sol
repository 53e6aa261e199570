// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AcceptanceRules} from "./AcceptanceRules.sol";
import {Submissions} from "./Submissions.sol";
import {Book, Line, More, putBook, putLine, time32} from "./Words.sol";

/// @title Registry of proven margin and of what venues have pledged against it
/// @notice Anyone may `submit` a bundle: a proof that an account's excess is at least `amount`, and the signatures of
/// attestors who re-read its snapshot. A venue to which a proof is addressed may `pledge` part of the amount, and the
/// pledges of all venues together never pass what is proven and fresh, so no collateral backs two venues.
///
/// Levels. An initial-margin proof (IM) is needed to pledge. A maintenance-margin proof (MM) keeps an account good and
/// spares it a margin call, but opens nothing: after it, new pledges need an IM proof of that cut or a later one. The
/// registry relies on the accepted policies asking at least as much at IM as at MM.
///
/// Time. "Fresh" means block.timestamp <= until. A snapshot's cut orders what an account has said: a later cut replaces
/// everything from earlier ones, an earlier cut is refused, and of one cut the largest fresh amount per level stands.
/// Of one cut, what is addressed to a venue comes in the order of its expiry, each statement once.
///
/// Firm and counted. An amount is firm while it is fresh and neither its policy, its attestor set nor its verifier is
/// revoked; it counts for the grace period after a revocation. Only firm amounts open pledges. Pledges above what is
/// firm can be called; pledges above what counts are not covered.
///
/// @dev No call leaves this contract except the verifier's, which is a static one, and state changes only after it.
/// Amounts are in 1e-6 USD, times in Unix seconds. Storage keeps amounts in 64 bits (18 trillion USD) and times in 32
/// (the year 2106); larger ones are kept as the largest that fit, which is less than what was proven, never more.
contract SolvencyRegistry is Submissions {
    /// @notice What an account has proven at its latest cut, per level, and the sum of its live pledges.
    struct Account {
        uint64 cutTime;
        uint64 initialUntil;
        uint80 initialAmount;
        bool called;
        uint64 maintenanceUntil;
        uint80 maintenanceAmount;
        uint80 pledged;
    }

    /// @notice The last proof addressed to one venue.
    struct Record {
        uint64 cutTime;
        uint64 until;
        uint80 amount;
        uint8 level;
    }

    /// @notice How an account stands.
    /// COVERED: what is firm covers the pledges. SHORT: it does not, and nobody has called yet. CALLED: a margin call
    /// runs. FAILED: its deadline has passed.
    enum Status {
        COVERED,
        SHORT,
        CALLED,
        FAILED
    }

    mapping(uint256 accountId => Book) private _books;
    mapping(uint256 accountId => More) private _mores;
    mapping(uint256 accountId => mapping(address venue => Line)) private _lines;

    /// @notice A proof was verified and recorded.
    event Recorded(
        uint256 indexed accountId,
        address indexed venue,
        uint8 level,
        uint256 amount,
        uint64 cutTime,
        uint64 until,
        uint256 policyRoot,
        bytes32 circuitId,
        bytes32 anchorsHash,
        bytes32 coverage
    );
    event Pledged(uint256 indexed accountId, address indexed venue, uint256 amount, uint256 total);
    event Released(uint256 indexed accountId, address indexed venue, uint256 amount, uint256 total);
    event Transferred(uint256 indexed accountId, address indexed from, address indexed to, uint256 amount);
    /// @notice What is proven, fresh and not revoked no longer covers the pledges; to be met by `deadline`.
    event MarginCall(uint256 indexed accountId, uint256 proven, uint256 pledged, uint64 deadline);
    /// @notice After a margin call, what is proven, fresh and not revoked covers the pledges again.
    event MarginRestored(uint256 indexed accountId, uint256 proven, uint256 pledged);

    error ZeroAmount();
    error NoFreshProof(uint256 accountId, address venue, uint64 until);
    error NotInitialMargin(uint256 accountId, address venue);
    error PledgeAboveProof(uint256 accountId, address venue, uint256 wanted, uint256 proven);
    error OverPledged(uint256 accountId, uint256 wanted, uint256 proven);
    error ReleaseAbovePledge(uint256 accountId, address venue, uint256 amount, uint256 pledged);
    error TransferToSelf(address venue);
    error RankWouldDrop(uint256 accountId, address venue);
    error StillCovered(uint256 accountId, uint256 proven, uint256 pledged);
    error AlreadyCalled(uint256 accountId);
    error RankBroken(uint256 index, address venue);
    error VenuesMissing(uint256 accountId, uint256 listed, uint256 pledged);

    /// @param owner_ Who sets what is accepted; a timelock in production.
    /// @param production_ Whether verifiers with development keys are refused.
    /// @param maxAge_ Seconds after its cut at which a snapshot is too old to submit.
    /// @param attestors Ascending addresses.
    /// @param threshold_ 1 to attestors.length.
    constructor(address owner_, bool production_, uint64 maxAge_, address[] memory attestors, uint256 threshold_)
        AcceptanceRules(owner_, production_, maxAge_, attestors, threshold_)
    {}

    /// @notice Checks a submission in full and records it, valid until the first of: the proof's expiry, the
    /// attestation's expiry, the end of the policy. Emits MarginCall when the account's pledges are not covered by it.
    function submit(Submission calldata s) external {
        (uint256 accountId, address venue) = (s.accountId, s.venue);
        (Book storage book, Line storage line) = (_books[accountId], _lines[accountId][venue]);
        (Book memory b, Line memory l) = (book, line);
        Checked memory c = _check(s, b.cutTime, l);

        bool had = b.more;
        More memory m = had ? _mores[accountId] : More(0, 0, 0, 0, 0, 0);
        if (c.cutTime > b.cutTime) {
            b.cutTime = c.cutTime;
            (b.until, b.amount, b.policyId, b.setId, b.verifierId) = (0, 0, 0, 0, 0);
            (m.until, m.amount, m.policyId, m.setId, m.verifierId) = (0, 0, 0, 0, 0);
        }
        bool firm = false;
        if (c.level == LEVEL_IM) {
            firm = b.until != 0 && _firm(b.policyId, b.setId, b.verifierId);
            if (!firm || _better(b.until, b.amount, c.until, c.amount)) {
                (b.until, b.amount) = (c.until, c.amount);
                (b.policyId, b.setId, b.verifierId) = (c.policyId, c.setId, c.verifierId);
            }
        } else {
            firm = m.until != 0 && _firm(m.policyId, m.setId, m.verifierId);
            if (!firm || _better(m.until, m.amount, c.until, c.amount)) {
                (m.until, m.amount) = (c.until, c.amount);
                (m.policyId, m.setId, m.verifierId) = (c.policyId, c.setId, c.verifierId);
            }
        }
        _record(line, l, c, firm);
        emit Recorded(
            accountId,
            venue,
            c.level,
            c.amount,
            c.cutTime,
            c.until,
            s.policyRoot,
            s.circuitId,
            s.anchorsHash,
            s.coverage
        );

        // What was just recorded is firm, so it need not be looked up when it covers all by itself.
        if (b.pledged > c.amount) {
            uint256 proven = _firmAmount(b, m);
            if (b.pledged > proven) {
                // A running call keeps its deadline: another proof that is too small wins no time.
                if (m.deadline == 0) m.deadline = _deadline();
                emit MarginCall(accountId, proven, b.pledged, m.deadline);
            } else {
                _endCall(accountId, b, m, proven);
            }
        } else {
            _endCall(accountId, b, m, c.amount);
        }
        b.more = m.until != 0 || m.deadline != 0;
        putBook(book, b);
        if (had || b.more) _mores[accountId] = m;
    }

    /// @notice Reserves `amount` more of the account's proven margin for the calling venue.
    /// @dev The venue needs a fresh IM proof addressed to it, its pledges stay within the amount of that proof (which is
    /// what the holder agreed to show it), and the pledges of all venues stay within the account's latest firm IM
    /// amount. The pledge ranks by the time of its last increase, so that adding to it overtakes nobody.
    function pledge(uint256 accountId, uint256 amount) external whenNotPaused {
        Line memory l = _lines[accountId][msg.sender];
        uint256 own = _requireRoom(l, accountId, msg.sender, amount);
        Book memory b = _books[accountId];
        uint256 total = b.pledged + amount;
        uint256 proven = _firmInitial(b);
        require(total <= proven, OverPledged(accountId, total, proven));

        // Both are within a 64-bit amount here.
        l.pledged = uint64(own);
        l.since = time32(block.timestamp);
        b.pledged = uint64(total);
        putLine(_lines[accountId][msg.sender], l);
        putBook(_books[accountId], b);
        emit Pledged(accountId, msg.sender, amount, total);
    }

    /// @notice Gives back `amount` of what the calling venue has pledged. Works at any time: fresh or not, called,
    /// revoked or paused.
    function release(uint256 accountId, uint256 amount) external {
        _take(_lines[accountId][msg.sender], accountId, amount);
        Book memory b = _books[accountId];
        b.pledged -= uint64(amount);
        emit Released(accountId, msg.sender, amount, b.pledged);
        if (b.more) {
            More memory m = _mores[accountId];
            uint256 proven = _firmAmount(b, m);
            if (m.deadline != 0 && b.pledged <= proven) {
                _endCall(accountId, b, m, proven);
                b.more = m.until != 0;
                _mores[accountId] = m;
            }
        }
        putBook(_books[accountId], b);
    }

    /// @notice Hands `amount` of the calling venue's pledge to another venue, which must hold a fresh IM proof of its
    /// own for at least what it then has. Nothing is freed or added in between. Works also while the account is called
    /// or the registry paused.
    /// @dev The receiver ranks by the later of the two times, so that no third venue is overtaken. Where that would
    /// rank a live pledge of its own later than it does, the transfer is refused: nobody is demoted by a gift.
    function transfer(uint256 accountId, address to, uint256 amount) external {
        require(to != msg.sender, TransferToSelf(to));
        Line memory l = _lines[accountId][to];
        uint256 own = _requireRoom(l, accountId, to, amount);
        uint32 since = _lines[accountId][msg.sender].since;
        require(l.pledged == 0 || l.since >= since, RankWouldDrop(accountId, to));
        _take(_lines[accountId][msg.sender], accountId, amount);
        l.pledged = uint64(own);
        if (since > l.since) l.since = since;
        putLine(_lines[accountId][to], l);
        emit Transferred(accountId, msg.sender, to, amount);
    }

    /// @notice Calls an account whose pledges are above what is proven, fresh and not revoked. Anyone may; once per
    /// margin call.
    function poke(uint256 accountId) external {
        Book memory b = _books[accountId];
        More memory m = _mores[accountId];
        uint256 proven = _firmAmount(b, m);
        require(b.pledged > proven, StillCovered(accountId, proven, b.pledged));
        require(m.deadline == 0, AlreadyCalled(accountId));
        m.deadline = _deadline();
        _mores[accountId] = m;
        _books[accountId].more = true;
        emit MarginCall(accountId, proven, b.pledged, m.deadline);
    }

    /// @notice Whether the venue holds a fresh proof (IM or MM) of the account and what counts covers all pledges and,
    /// while the venue has pledged nothing, the amount it was shown: a proof of less at a later cut ends that, and so
    /// does a revocation.
    /// @dev This alone reserves nothing: margin is only the venue's once it is pledged.
    function isGood(uint256 accountId, address venue) external view returns (bool) {
        Book memory b = _books[accountId];
        Line memory l = _lines[accountId][venue];
        uint256 counted = _countedAmount(b, _mores[accountId]);
        bool stands = l.pledged != 0 || l.amount <= counted;
        return block.timestamp <= l.until && stands && b.pledged <= counted;
    }

    /// @notice How the account stands, what of it is firm, what counts, what is pledged, and until when a margin call
    /// is to be met (0 when there is none).
    function statusOf(uint256 accountId)
        external
        view
        returns (Status status, uint256 firm, uint256 counted, uint256 pledged_, uint64 deadline)
    {
        Book memory b = _books[accountId];
        More memory m = _mores[accountId];
        (firm, counted) = (_firmAmount(b, m), _countedAmount(b, m));
        (pledged_, deadline) = (b.pledged, m.deadline);
        if (b.pledged <= firm) status = Status.COVERED;
        else if (deadline == 0) status = Status.SHORT;
        else status = block.timestamp <= deadline ? Status.CALLED : Status.FAILED;
    }

    /// @notice How much of each venue's pledge is covered by what counts, seniors first.
    /// @param venues All venues with a live pledge, by rank: ascending time of the last increase, then ascending
    /// address. A list that is incomplete or out of order is refused, so there is one answer for everybody.
    function coverOf(uint256 accountId, address[] calldata venues) external view returns (uint256[] memory covered) {
        Book memory b = _books[accountId];
        uint256 left = _countedAmount(b, _mores[accountId]);
        uint256 listed = 0;
        uint256 last = 0;
        covered = new uint256[](venues.length);
        for (uint256 i = 0; i < venues.length; ++i) {
            Line memory l = _lines[accountId][venues[i]];
            uint256 rank = (uint256(l.since) << 160) | uint160(venues[i]);
            require(l.pledged != 0 && rank > last, RankBroken(i, venues[i]));
            last = rank;
            listed += l.pledged;
            covered[i] = l.pledged < left ? l.pledged : left;
            left -= covered[i];
        }
        require(listed == b.pledged, VenuesMissing(accountId, listed, b.pledged));
    }

    /// @notice What could still be pledged, over all venues: the firm IM amount less the live pledges.
    function available(uint256 accountId) external view returns (uint256) {
        Book memory b = _books[accountId];
        uint256 proven = _firmInitial(b);
        return proven > b.pledged ? proven - b.pledged : 0;
    }

    /// @notice The sum of the live pledges of all venues.
    function pledged(uint256 accountId) external view returns (uint256) {
        return _books[accountId].pledged;
    }

    /// @notice The live pledge of one venue.
    function pledgeOf(uint256 accountId, address venue) external view returns (uint256) {
        return _lines[accountId][venue].pledged;
    }

    /// @notice Time of the last increase of a venue's pledge, by which it ranks.
    function pledgedSince(uint256 accountId, address venue) external view returns (uint64) {
        return _lines[accountId][venue].since;
    }

    function accountOf(uint256 accountId) external view returns (Account memory) {
        Book memory b = _books[accountId];
        More memory m = _mores[accountId];
        return Account(b.cutTime, b.until, b.amount, m.deadline != 0, m.until, m.amount, b.pledged);
    }

    function recordOf(uint256 accountId, address venue) external view returns (Record memory) {
        Line memory l = _lines[accountId][venue];
        return Record(l.cutTime, l.until, l.amount, l.level);
    }

    /// @notice Whether this statement, or a newer one addressed to the same venue, was recorded. Proof bytes are no
    /// key: they can be re-randomised.
    function isSubmitted(uint256 accountId, address venue, uint64 expiry, uint64 cutTime)
        external
        view
        returns (bool)
    {
        return !_newer(_lines[accountId][venue], cutTime, time32(expiry));
    }

    /// @dev The venue's record follows the account's rule: a later cut replaces it, and of one cut IM stands before MM
    /// and a larger amount before a smaller one, while fresh and `firm`. Its pledge and rank stay.
    function _record(Line storage line, Line memory l, Checked memory c, bool firm) private {
        uint56 amount = c.amount > type(uint56).max ? type(uint56).max : uint56(c.amount);
        bool replace = c.cutTime > l.cutTime || block.timestamp > l.until || c.level > l.level
            || (c.level == l.level && (!firm || _better(l.until, l.amount, c.until, amount)));
        if (replace) {
            (l.cutTime, l.until, l.amount, l.level) = (c.cutTime, c.until, amount, c.level);
        }
        l.expiry = c.expiry;
        putLine(line, l);
    }

    /// @dev What a venue would have pledged after `amount` more, checked against the proof addressed to it.
    function _requireRoom(Line memory l, uint256 accountId, address venue, uint256 amount)
        private
        view
        returns (uint256 own)
    {
        require(amount != 0, ZeroAmount());
        require(amount < AMOUNT_BOUND, AmountTooLarge(amount));
        require(block.timestamp <= l.until, NoFreshProof(accountId, venue, l.until));
        require(l.level == LEVEL_IM, NotInitialMargin(accountId, venue));
        own = l.pledged + amount;
        require(own <= l.amount, PledgeAboveProof(accountId, venue, own, l.amount));
    }

    /// @dev Takes `amount` from what the calling venue has pledged.
    function _take(Line storage line, uint256 accountId, uint256 amount) private {
        require(amount != 0, ZeroAmount());
        uint256 own = line.pledged;
        require(amount <= own, ReleaseAbovePledge(accountId, msg.sender, amount, own));
        line.pledged = uint64(own - amount);
    }

    function _endCall(uint256 accountId, Book memory b, More memory m, uint256 proven) private {
        if (m.deadline != 0) {
            m.deadline = 0;
            emit MarginRestored(accountId, proven, b.pledged);
        }
    }

    function _deadline() private view returns (uint32) {
        return time32(block.timestamp + gracePeriod);
    }

    /// @dev Whether a new statement of the same cut and level stands instead of the old one.
    function _better(uint64 oldUntil, uint64 oldAmount, uint64 until, uint64 amount) private view returns (bool) {
        return block.timestamp > oldUntil || amount > oldAmount || (amount == oldAmount && until > oldUntil);
    }

    /// @dev The fresh IM amount under nothing revoked: what pledges are made on.
    function _firmInitial(Book memory b) private view returns (uint256) {
        bool fresh = b.amount != 0 && block.timestamp <= b.until;
        return fresh && _firm(b.policyId, b.setId, b.verifierId) ? b.amount : 0;
    }

    /// @dev The largest fresh amount at either level under nothing revoked.
    function _firmAmount(Book memory b, More memory m) private view returns (uint256 amount) {
        amount = _firmInitial(b);
        bool fresh = m.amount > amount && block.timestamp <= m.until;
        if (fresh && _firm(m.policyId, m.setId, m.verifierId)) amount = m.amount;
    }

    /// @dev The largest fresh amount at either level, revoked ones within their grace included.
    function _countedAmount(Book memory b, More memory m) private view returns (uint256 amount) {
        bool fresh = b.amount != 0 && block.timestamp <= b.until;
        if (fresh && block.timestamp <= _countsUntil(b.policyId, b.setId, b.verifierId)) amount = b.amount;
        fresh = m.amount > amount && block.timestamp <= m.until;
        if (fresh && block.timestamp <= _countsUntil(m.policyId, m.setId, m.verifierId)) amount = m.amount;
    }

    function _firm(uint24 policyId, uint16 setId, uint16 verifierId) private view returns (bool) {
        return _countsUntil(policyId, setId, verifierId) == type(uint256).max;
    }
}
