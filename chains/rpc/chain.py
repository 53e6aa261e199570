"""One chain behind several endpoints: failover for plain reads, k-of-n agreement where a lie would cost."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self, TypeVar

from aggregator.model.errors import ChainError, ChainUnreachableError, ConfigError, QuorumError
from chains.rpc.endpoint import Endpoint, Request
from chains.rpc.errors import EndpointError, RpcError
from chains.rpc.values import parse_quantity

log = logging.getLogger(__name__)

_STRAGGLER_PATIENCE_S: Final = 2.0
"""How long the remaining endpoints are waited for once a quorum has answered."""

T = TypeVar("T")
Ask = Callable[[Endpoint], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """An answer that `voices` endpoints gave, those endpoints, and each one's own full answer."""

    answer: object
    supporters: tuple[Endpoint, ...]
    answers: tuple[object, ...]

    @property
    def voices(self) -> int:
        """Number of endpoints that agree."""
        return len(self.supporters)


@dataclass
class Chain:
    """An EVM chain as `quorum` of its endpoints see it.

    Two endpoints at one host and port count as one voice, so they are refused together.
    """

    chain_id: int
    endpoints: Sequence[Endpoint]
    name: str = ""
    quorum: int = 1
    refused: dict[str, str] = field(default_factory=dict)
    """Endpoints put aside by `open`, with the reason."""
    reads_per_call: int = 0
    """The most reads that one eth_call is known to take, 0 while none was refused."""

    def __post_init__(self) -> None:
        self.name = self.name or self.caip2
        if not self.endpoints:
            raise ConfigError(f"{self.name} has no endpoint; set one in its network file")
        operators = [e.operator for e in self.endpoints]
        if twice := {o for o in operators if operators.count(o) > 1}:
            raise ConfigError(f"{self.name} lists the endpoint {min(twice)} twice; one host is one voice")
        if self.quorum < 1:
            raise ConfigError(f"{self.name} has quorum {self.quorum}; it is at least 1")
        if self.quorum > len(self.endpoints):
            raise ConfigError(
                f"{self.name} asks for {self.quorum} agreeing endpoints and has {len(self.endpoints)}; "
                "add endpoints, or lower quorum and accept the lower trust"
            )
        self._active = list(self.endpoints)

    @property
    def caip2(self) -> str:
        """CAIP-2 id, for example "eip155:1"."""
        return f"eip155:{self.chain_id}"

    @property
    def active(self) -> list[Endpoint]:
        """Endpoints in use, healthiest first."""
        return sorted(self._active, key=lambda e: e.stats.failures_in_a_row)

    @property
    def round_trips(self) -> int:
        """HTTP exchanges so far over all endpoints."""
        return sum(e.stats.round_trips for e in self.endpoints)

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Ask every endpoint for its chain id and put aside those that answer another one.

        Raises:
            ChainUnreachableError: no endpoint answered.
            QuorumError: fewer than `quorum` endpoints are left.
        """
        answers = await self.ask_all(lambda e: e.call("eth_chainId"))
        self._active = []
        self.refused = {}
        unreachable = 0
        for endpoint, answer in answers:
            if isinstance(answer, ChainError):
                unreachable += isinstance(answer, EndpointError)
                self.refused[endpoint.name] = str(answer)
                continue
            try:
                reported = parse_quantity(answer, "the chain id")
            except ChainError as error:
                self.refused[endpoint.name] = f"the endpoint {endpoint.name}: {error}"
                continue
            if reported != self.chain_id:
                reason = (
                    f"the endpoint {endpoint.name} serves chain {reported}, not {self.chain_id}; "
                    "correct its URL"
                )
                endpoint.note(reason)
                self.refused[endpoint.name] = reason
            else:
                self._active.append(endpoint)
        if len(self._active) < self.quorum:
            reasons = "; ".join(self.refused.values())
            if not self._active and unreachable == len(answers):
                raise ChainUnreachableError(f"no endpoint of {self.name} answers: {reasons}")
            raise QuorumError(
                f"{self.name} has {len(self._active)} usable endpoints and needs {self.quorum}: {reasons}"
            )

    async def close(self) -> None:
        """Close the connections of every endpoint."""
        for endpoint in self.endpoints:
            await endpoint.close()

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        """One request, from the first endpoint that answers it.

        A revert is an answer: it is raised at once. Any other refusal moves on to the next endpoint.

        Raises:
            RpcError: the call reverted, or the last endpoint refused it.
            ChainUnreachableError: no endpoint gave a usable answer.
        """
        return await self.failover(lambda e: e.call(method, params), method)

    async def batch(self, requests: Sequence[Request]) -> list[object | RpcError]:
        """Several requests in one HTTP exchange, from the first endpoint that answers."""
        return await self.failover(lambda e: e.batch(requests), "a batch")

    async def failover(self, ask: Callable[[Endpoint], Awaitable[T]], what: str) -> T:
        """The first usable answer to `ask`, trying the endpoints in order of health."""
        failures: list[ChainError] = []
        for endpoint in self.active:
            try:
                return await ask(endpoint)
            except RpcError as error:
                if error.reverted:
                    raise
                endpoint.note(str(error))
                failures.append(error)
            except ChainError as error:
                failures.append(error)
        if failures and isinstance(failures[-1], RpcError):
            raise failures[-1]
        reasons = "; ".join(str(f) for f in failures)
        raise ChainUnreachableError(f"no endpoint of {self.name} answered {what}: {reasons}")

    async def call_agreed(self, method: str, params: Sequence[object] = ()) -> object:
        """One request that `quorum` endpoints must answer alike."""
        agreement = await self.agree(lambda e: e.call(method, params), what=method)
        return agreement.answer

    async def agree(
        self,
        ask: Ask,
        *,
        what: str,
        key: Callable[[object], object] | None = None,
        everyone: bool = False,
    ) -> Agreement:
        """Ask endpoints until `quorum` of them give answers with the same `key`.

        Parameters:
            key: what has to be equal, by default the whole answer; raises ChainError on a faulty one.
            everyone: ask all endpoints at once and let the slower ones object; a tie is then a disagreement.

        Raises:
            QuorumError: the endpoints disagree.
            RpcError, EndpointError: every endpoint refused the request itself, or its size.
            ChainUnreachableError: too few endpoints answered.
        """
        waiting = self.active
        running: dict[asyncio.Task[object], Endpoint] = {}
        votes: dict[str, list[tuple[Endpoint, object]]] = {}
        failures: dict[Endpoint, ChainError] = {}

        def start(count: int) -> None:
            for _ in range(min(count, len(waiting))):
                endpoint = waiting.pop(0)
                running[asyncio.ensure_future(ask(endpoint))] = endpoint

        def best() -> list[tuple[Endpoint, object]]:
            return max(votes.values(), key=len, default=[])

        start(len(waiting) if everyone else self.quorum)
        try:
            while running:
                settled = len(best()) >= self.quorum
                if settled and not everyone:
                    break
                done, _ = await asyncio.wait(
                    running,
                    return_when=asyncio.FIRST_COMPLETED,
                    timeout=_STRAGGLER_PATIENCE_S if settled else None,
                )
                if not done:
                    break
                for task in done:
                    endpoint = running.pop(task)
                    try:
                        answer = task.result()
                        wanted = answer if key is None else key(answer)
                    except ChainError as error:
                        failures[endpoint] = error
                        continue
                    fingerprint = json.dumps(wanted, sort_keys=True, default=str)
                    votes.setdefault(fingerprint, []).append((endpoint, answer))
                start(self.quorum - len(best()) - len(running))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return self._count(votes, failures, what)

    def _count(
        self,
        votes: dict[str, list[tuple[Endpoint, object]]],
        failures: dict[Endpoint, ChainError],
        what: str,
    ) -> Agreement:
        ranked = sorted(votes.values(), key=len, reverse=True)
        winners = ranked[0] if ranked else []
        tie = len(ranked) > 1 and len(ranked[1]) == len(winners)
        if len(winners) >= self.quorum and not tie:
            for losers in ranked[1:]:
                for endpoint, _ in losers:
                    endpoint.note(f"disagrees with {len(winners)} other endpoints of {self.name} on {what}")
            return Agreement(winners[0][1], tuple(e for e, _ in winners), tuple(a for _, a in winners))
        camps = " against ".join("+".join(e.name for e, _ in camp) for camp in ranked)
        reasons = "; ".join(str(f) for f in failures.values())
        if len(ranked) > 1:
            raise QuorumError(
                f"the endpoints of {self.name} disagree on {what} ({camps}), so nothing is read; "
                "remove the faulty one" + (f" ({reasons})" if reasons else "")
            )
        refusals = (
            isinstance(f, RpcError) or (isinstance(f, EndpointError) and f.too_big) for f in failures.values()
        )
        if not ranked and failures and all(refusals):
            raise next(iter(failures.values()))
        raise ChainUnreachableError(
            f"{len(winners)} of the {self.quorum} endpoints of {self.name} needed for {what} answered"
            + (f": {reasons}" if reasons else "")
        )

    async def ask_all(self, ask: Ask) -> list[tuple[Endpoint, object | ChainError]]:
        """Every active endpoint's answer or ChainError; one far slower than a quorum counts as silent."""
        asked = self.active
        tasks = {asyncio.ensure_future(ask(endpoint)): endpoint for endpoint in asked}
        answers: dict[Endpoint, object | ChainError] = {}
        try:
            while len(answers) < len(asked):
                heard = sum(not isinstance(a, ChainError) for a in answers.values())
                patience = _STRAGGLER_PATIENCE_S if heard >= self.quorum else None
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=patience)
                if not done:
                    break
                for task in done:
                    endpoint = tasks.pop(task)
                    try:
                        answers[endpoint] = task.result()
                    except ChainError as error:
                        answers[endpoint] = error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [(e, answers.get(e, EndpointError(e.name, "is much slower than the others"))) for e in asked]
