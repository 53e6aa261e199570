// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AcceptanceRules} from "./AcceptanceRules.sol";
import {IProofVerifier} from "./IProofVerifier.sol";

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
///
/// @dev No call leaves this contract except the verifier's, which is a static one, and state changes only after it.
/// Amounts are in 1e-6 USD, times in Unix seconds.
contract SolvencyRegistry is AcceptanceRules {
    /// @notice What a relayer brings: everything of a bundle that the chain checks.
    struct Submission {
        bytes32 circuitId;
        uint256[8] proof;
        uint256 accountId;
        uint256 commitment;
        uint256 policyRoot;
        uint256 amount;
        uint8 level;
        address venue;
        uint64 expiry;
        bytes32 anchorsHash;
        uint64 cutTime;
        uint64 attestationExpiry;
        bytes32 coverage;
        bytes[] signatures;
    }

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

    uint8 public constant LEVEL_MM = 0;
    uint8 public constant LEVEL_IM = 1;
    bytes32 public constant CONTEXT_TAG = keccak256("counterfoil/context/1");
    uint256 private constant LEVEL_SHIFT = 80;

    mapping(uint256 accountId => Account) private _accounts;
    mapping(uint256 accountId => mapping(address venue => Record)) private _records;
    mapping(uint256 accountId => mapping(address venue => uint256 amount)) private _pledges;
    mapping(bytes32 replayKey => bool) private _submitted;

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
    /// @notice What is proven and fresh no longer covers the pledges.
    event MarginCall(uint256 indexed accountId, uint256 proven, uint256 pledged);
    /// @notice After a margin call, what is proven and fresh covers the pledges again.
    event MarginRestored(uint256 indexed accountId, uint256 proven, uint256 pledged);

    error UnknownLevel(uint8 level);
    error AmountTooLarge(uint256 amount);
    error ZeroAmount();
    error ZeroVenue();
    error ProofExpired(uint64 expiry, uint256 time);
    error AttestationExpired(uint64 expiry, uint256 time);
    error CutInFuture(uint64 cutTime, uint256 time);
    error CutTooOld(uint64 cutTime, uint256 oldestAccepted);
    error CutSuperseded(uint64 cutTime, uint64 latest);
    error AlreadySubmitted(uint256 accountId, uint256 context, uint64 cutTime);
    error ProofRejected(bytes32 circuitId);
    error NoFreshProof(uint256 accountId, address venue, uint64 until);
    error NotInitialMargin(uint256 accountId, address venue);
    error PledgeAboveProof(uint256 accountId, address venue, uint256 wanted, uint256 proven);
    error OverPledged(uint256 accountId, uint256 wanted, uint256 proven);
    error ReleaseAbovePledge(uint256 accountId, address venue, uint256 amount, uint256 pledged);
    error StillCovered(uint256 accountId, uint256 proven, uint256 pledged);
    error AlreadyCalled(uint256 accountId);

    constructor(address owner_, bool production_, uint64 maxAge_, address[] memory attestors, uint256 threshold_)
        AcceptanceRules(owner_, production_, maxAge_, attestors, threshold_)
    {}

    /// @notice Checks a submission in full and records it, valid until the first of: the proof's expiry, the
    /// attestation's expiry, the end of the policy. Emits MarginCall when the account's pledges are not covered by it.
    function submit(Submission calldata s) external {
        (bytes32 replayKey, uint64 until) = _check(s);
        // _check holds the amount below 2^80.
        uint80 amount = uint80(s.amount);

        _submitted[replayKey] = true;
        _record(_records[s.accountId][s.venue], s, amount, until);
        Account memory a = _accounts[s.accountId];
        if (s.cutTime > a.cutTime) {
            a.cutTime = s.cutTime;
            (a.initialUntil, a.initialAmount) = (0, 0);
            (a.maintenanceUntil, a.maintenanceAmount) = (0, 0);
        }
        if (s.level == LEVEL_IM) {
            if (_better(a.initialUntil, a.initialAmount, until, amount)) {
                (a.initialUntil, a.initialAmount) = (until, amount);
            }
        } else if (_better(a.maintenanceUntil, a.maintenanceAmount, until, amount)) {
            (a.maintenanceUntil, a.maintenanceAmount) = (until, amount);
        }
        emit Recorded(
            s.accountId,
            s.venue,
            s.level,
            amount,
            s.cutTime,
            until,
            s.policyRoot,
            s.circuitId,
            s.anchorsHash,
            s.coverage
        );

        uint256 proven = _proven(a);
        if (a.pledged > proven) {
            a.called = true;
            emit MarginCall(s.accountId, proven, a.pledged);
        } else if (a.called) {
            a.called = false;
            emit MarginRestored(s.accountId, proven, a.pledged);
        }
        _accounts[s.accountId] = a;
    }

    /// @notice Reserves `amount` more of the account's proven margin for the calling venue.
    /// @dev The venue needs a fresh IM proof addressed to it, its pledges stay within the amount of that proof (which is
    /// what the holder agreed to show it), and the pledges of all venues stay within the account's latest IM amount.
    function pledge(uint256 accountId, uint256 amount) external {
        require(amount != 0, ZeroAmount());
        require(amount <= type(uint80).max, AmountTooLarge(amount));
        Record memory r = _records[accountId][msg.sender];
        require(block.timestamp <= r.until, NoFreshProof(accountId, msg.sender, r.until));
        require(r.level == LEVEL_IM, NotInitialMargin(accountId, msg.sender));

        uint256 own = _pledges[accountId][msg.sender] + amount;
        require(own <= r.amount, PledgeAboveProof(accountId, msg.sender, own, r.amount));
        Account storage a = _accounts[accountId];
        uint256 total = a.pledged + amount;
        uint256 proven = block.timestamp <= a.initialUntil ? a.initialAmount : 0;
        require(total <= proven, OverPledged(accountId, total, proven));

        _pledges[accountId][msg.sender] = own;
        a.pledged = uint80(total);
        emit Pledged(accountId, msg.sender, amount, total);
    }

    /// @notice Gives back `amount` of what the calling venue has pledged. Works at any time, fresh or not.
    function release(uint256 accountId, uint256 amount) external {
        require(amount != 0, ZeroAmount());
        uint256 own = _pledges[accountId][msg.sender];
        require(amount <= own, ReleaseAbovePledge(accountId, msg.sender, amount, own));

        _pledges[accountId][msg.sender] = own - amount;
        Account memory a = _accounts[accountId];
        a.pledged -= uint80(amount);
        emit Released(accountId, msg.sender, amount, a.pledged);
        uint256 proven = _proven(a);
        if (a.called && a.pledged <= proven) {
            a.called = false;
            emit MarginRestored(accountId, proven, a.pledged);
        }
        _accounts[accountId] = a;
    }

    /// @notice Calls an account whose proof has run out under its pledges. Anyone may; once per margin call.
    function poke(uint256 accountId) external {
        Account storage a = _accounts[accountId];
        uint256 proven = _proven(a);
        require(a.pledged > proven, StillCovered(accountId, proven, a.pledged));
        require(!a.called, AlreadyCalled(accountId));
        a.called = true;
        emit MarginCall(accountId, proven, a.pledged);
    }

    /// @notice Whether the venue holds a fresh proof (IM or MM) of the account and all pledges on it are covered.
    /// @dev This alone reserves nothing: margin is only the venue's once it is pledged.
    function isGood(uint256 accountId, address venue) external view returns (bool) {
        Account memory a = _accounts[accountId];
        return block.timestamp <= _records[accountId][venue].until && a.pledged <= _proven(a);
    }

    /// @notice What could still be pledged, over all venues: the fresh IM amount less the live pledges.
    function available(uint256 accountId) external view returns (uint256) {
        Account storage a = _accounts[accountId];
        uint256 proven = block.timestamp <= a.initialUntil ? a.initialAmount : 0;
        return proven > a.pledged ? proven - a.pledged : 0;
    }

    /// @notice The sum of the live pledges of all venues.
    function pledged(uint256 accountId) external view returns (uint256) {
        return _accounts[accountId].pledged;
    }

    /// @notice The live pledge of one venue.
    function pledgeOf(uint256 accountId, address venue) external view returns (uint256) {
        return _pledges[accountId][venue];
    }

    function accountOf(uint256 accountId) external view returns (Account memory) {
        return _accounts[accountId];
    }

    function recordOf(uint256 accountId, address venue) external view returns (Record memory) {
        return _records[accountId][venue];
    }

    /// @notice The fifth public input: for whom and until when a proof submitted here is good, as a field element.
    function contextOf(address venue, uint64 expiry, bytes32 anchorsHash, uint64 cutTime)
        public
        view
        returns (uint256)
    {
        return uint256(
            keccak256(
                abi.encode(CONTEXT_TAG, block.chainid, address(this), venue, expiry, anchorsHash, cutTime)
            )
        ) >> 8;
    }

    /// @notice Whether (account, context, cutTime) was recorded. Proof bytes are no key: they can be re-randomised.
    function isSubmitted(uint256 accountId, uint256 context, uint64 cutTime) external view returns (bool) {
        return _submitted[_replayKey(accountId, context, cutTime)];
    }

    /// @dev Every check of a submission, cheap ones first, the proof last.
    function _check(Submission calldata s) private view returns (bytes32 replayKey, uint64 until) {
        require(s.level <= LEVEL_IM, UnknownLevel(s.level));
        require(s.amount <= type(uint80).max, AmountTooLarge(s.amount));
        require(s.venue != address(0), ZeroVenue());
        require(block.timestamp <= s.expiry, ProofExpired(s.expiry, block.timestamp));
        require(block.timestamp <= s.attestationExpiry, AttestationExpired(s.attestationExpiry, block.timestamp));
        require(s.cutTime <= block.timestamp, CutInFuture(s.cutTime, block.timestamp));
        uint256 oldest = block.timestamp > maxAge ? block.timestamp - maxAge : 0;
        require(s.cutTime >= oldest, CutTooOld(s.cutTime, oldest));
        uint64 latest = _accounts[s.accountId].cutTime;
        require(s.cutTime >= latest, CutSuperseded(s.cutTime, latest));
        until = _min(_min(s.expiry, s.attestationExpiry), _requirePolicy(s.policyRoot));

        uint256 context = contextOf(s.venue, s.expiry, s.anchorsHash, s.cutTime);
        replayKey = _replayKey(s.accountId, context, s.cutTime);
        require(!_submitted[replayKey], AlreadySubmitted(s.accountId, context, s.cutTime));

        _requireCoverage(s.coverage);
        _requireAttested(
            attestationDigest(
                s.accountId, s.commitment, s.anchorsHash, s.cutTime, s.attestationExpiry, s.coverage
            ),
            s.signatures
        );

        uint256 requirementAndLevel = s.amount | (uint256(s.level) << LEVEL_SHIFT);
        IProofVerifier verifier = _requireVerifier(s.circuitId);
        require(
            verifier.verify(s.proof, [s.accountId, s.commitment, s.policyRoot, requirementAndLevel, context]),
            ProofRejected(s.circuitId)
        );
    }

    /// @dev The venue's record follows the account's rule: a later cut replaces it, and of one cut IM stands before MM
    /// and a larger amount before a smaller one, while fresh.
    function _record(Record storage r, Submission calldata s, uint80 amount, uint64 until) private {
        bool replace = s.cutTime > r.cutTime || block.timestamp > r.until || s.level > r.level
            || (s.level == r.level && _better(r.until, r.amount, until, amount));
        if (replace) {
            (r.cutTime, r.until, r.amount, r.level) = (s.cutTime, until, amount, s.level);
        }
    }

    /// @dev Whether a new statement of the same cut and level stands instead of the old one.
    function _better(uint64 oldUntil, uint80 oldAmount, uint64 until, uint80 amount) private view returns (bool) {
        return block.timestamp > oldUntil || amount > oldAmount || (amount == oldAmount && until > oldUntil);
    }

    /// @dev The largest fresh amount at either level.
    function _proven(Account memory a) private view returns (uint256) {
        uint256 initial = block.timestamp <= a.initialUntil ? a.initialAmount : 0;
        uint256 maintenance = block.timestamp <= a.maintenanceUntil ? a.maintenanceAmount : 0;
        return initial > maintenance ? initial : maintenance;
    }

    function _replayKey(uint256 accountId, uint256 context, uint64 cutTime) private pure returns (bytes32) {
        return keccak256(abi.encode(accountId, context, cutTime));
    }

    function _min(uint64 a, uint64 b) private pure returns (uint64) {
        return a < b ? a : b;
    }
}
