"""The registry in plain Python: what each call does, or that it is refused. The contract is compared with it.

Written from docs/registry.md, with sets and sorted lists where the contract has packed words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from aggregator.model.policy import Level

NEVER = 1 << 62


@dataclass(frozen=True)
class Statement:
    """What a submission says, reduced to what the rules look at."""

    venue: str
    amount: int
    level: Level
    cut: int
    expiry: int
    policy: int
    attestors: int
    circuit: int


@dataclass(frozen=True)
class Proven:
    """An amount, until when, and the ids of what it rests on."""

    amount: int
    until: int
    basis: tuple[str, str, str]


@dataclass
class Line:
    """What one venue was shown and has pledged."""

    cut: int = 0
    expiry: int = 0
    until: int = 0
    amount: int = 0
    level: Level = Level.MM
    pledged: int = 0
    since: int = 0


@dataclass
class Rules:
    """What the registry accepts, for all accounts alike."""

    max_age: int
    grace: int = 86_400
    paused: bool = False
    windows: dict[int, tuple[int, int]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    issued: Iterator[int] = field(default_factory=lambda: iter(range(1 << 30)))

    def basis(self, s: Statement) -> tuple[str, str, str]:
        """Ids in force of what a statement rests on."""
        return self.ids[f"policy {s.policy}"], self.ids["attestors"], self.ids[f"circuit {s.circuit}"]

    def enact(self, name: str) -> None:
        """Put a policy, attestor set or verifier in force under a new id."""
        self.ids[name] = f"{name} #{next(self.issued)}"

    def revoke(self, name: str, now: int) -> None:
        """Take it out of force; what rests on it counts for the grace period."""
        if (old := self.ids.pop(name, None)) is not None:
            self.ends[old] = now + self.grace


@dataclass
class Model:
    """One account in one registry. Each method returns False when the call is refused."""

    rules: Rules
    cut: int = 0
    lanes: dict[Level, Proven] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    deadline: int = 0

    def line(self, venue: str) -> Line:
        """The line of a venue, empty when it is new."""
        return self.lines.setdefault(venue, Line())

    @property
    def pledged(self) -> int:
        """All live pledges."""
        return sum(line.pledged for line in self.lines.values())

    def firm(self, level: Level, now: int) -> int:
        """Proven at `level`, fresh, under nothing revoked."""
        return self.worth(level, now, grace=False)

    def counted(self, now: int) -> int:
        """The same of the better level, revoked ones within their grace included."""
        return max(self.worth(level, now, grace=True) for level in Level)

    def worth(self, level: Level, now: int, *, grace: bool) -> int:
        """What the lane of `level` is worth."""
        lane = self.lanes.get(level)
        if lane is None or now > lane.until:
            return 0
        end = self.end(lane)
        return lane.amount if end == NEVER or (grace and now <= end) else 0

    def end(self, lane: Proven) -> int:
        """The last second at which it counts, by what of its basis was revoked."""
        return min(self.rules.ends.get(each, NEVER) for each in lane.basis)

    def stands(self, level: Level) -> bool:
        """Whether nothing is revoked that the lane of `level` rests on."""
        return self.end(self.lanes[level]) == NEVER

    def submit(self, s: Statement, now: int) -> bool:
        """Record a statement."""
        rules, line = self.rules, self.line(s.venue)
        start, end = rules.windows.get(s.policy, (1, 0))
        refused = (
            now > s.expiry
            or not now - rules.max_age <= s.cut <= now
            or s.cut < self.cut
            or (s.cut, s.expiry) <= (line.cut, line.expiry)
            or not start <= now <= end
            or f"attestors by {s.attestors}" not in rules.ids
            or f"circuit {s.circuit}" not in rules.ids
        )
        if refused:
            return False
        until, line.expiry = min(s.expiry, end), s.expiry
        firm = s.cut == self.cut and s.level in self.lanes and self.stands(s.level)
        if (
            s.cut > line.cut
            or now > line.until
            or s.level > line.level
            or (s.level == line.level and (not firm or (s.amount, until) > (line.amount, line.until)))
        ):
            line.cut, line.until, line.amount, line.level = s.cut, until, s.amount, s.level
        if s.cut > self.cut:
            self.cut, self.lanes = s.cut, {}
        old = self.lanes.get(s.level)
        if old is None or not self.firm(s.level, now) or (s.amount, until) > (old.amount, old.until):
            self.lanes[s.level] = Proven(s.amount, until, rules.basis(s))
        self.settle(now, call=True)
        return True

    def settle(self, now: int, *, call: bool) -> None:
        """End a call that is met; with `call`, begin one when pledges are above what is firm."""
        if self.pledged <= max(self.firm(level, now) for level in Level):
            self.deadline = 0
        elif call and not self.deadline:
            self.deadline = now + self.rules.grace

    def room(self, venue: str, amount: int, now: int) -> bool:
        """Whether the proof addressed to the venue allows it `amount` more."""
        line = self.line(venue)
        return bool(
            amount and now <= line.until and line.level is Level.IM and line.pledged + amount <= line.amount
        )

    def pledge(self, venue: str, amount: int, now: int) -> bool:
        """Reserve."""
        if self.rules.paused or not self.room(venue, amount, now):
            return False
        if self.pledged + amount > self.firm(Level.IM, now):
            return False
        line = self.line(venue)
        line.pledged, line.since = line.pledged + amount, now
        return True

    def release(self, venue: str, amount: int, now: int) -> bool:
        """Give back."""
        line = self.line(venue)
        if not 0 < amount <= line.pledged:
            return False
        line.pledged -= amount
        self.settle(now, call=False)
        return True

    def transfer(self, venue: str, to: str, amount: int, now: int) -> bool:
        """Hand over."""
        line = self.line(venue)
        other = self.line(to)
        if venue == to or not self.room(to, amount, now) or amount > line.pledged:
            return False
        if other.pledged and other.since < line.since:
            return False
        line.pledged -= amount
        other.pledged, other.since = other.pledged + amount, max(line.since, other.since)
        return True

    def poke(self, now: int) -> bool:
        """Call."""
        before = self.deadline
        if before or self.pledged <= max(self.firm(level, now) for level in Level):
            return False
        self.deadline = now + self.rules.grace
        return True

    def good(self, venue: str, now: int) -> bool:
        """isGood()."""
        line, counted = self.line(venue), self.counted(now)
        stands = bool(line.pledged) or line.amount <= counted
        return now <= line.until and stands and self.pledged <= counted

    def cover(self, now: int) -> list[tuple[str, int]]:
        """Pledged venues by rank, with what of their pledge is covered."""
        left, out = self.counted(now), []
        live = ((v, line) for v, line in self.lines.items() if line.pledged)
        for venue, line in sorted(live, key=lambda item: (item[1].since, int(item[0], 16))):
            out.append((venue, min(left, line.pledged)))
            left -= out[-1][1]
        return out
