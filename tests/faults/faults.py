"""The faults, by name. Each is begun just before the act; those that are swept hit the n-th write that counts."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from federation.kube.errors import ApiError
from federation.kube.resource import Resource
from tests.faults.rig import Rig
from tests.faults.rules import DROP, Action, Answer, Phase, Request, Rule, Verdict

Counts = Callable[[Request], bool]
AWAY, FROZEN = 3.0, 2.0
"""Seconds of a partition, and of a frozen watch."""
TOUCHED = "kubectl.kubernetes.io/last-applied-configuration"
"""What the harmless touch writes: an annotation that never travels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What a fault is begun with. `nth`: the write it hits, for those that are swept."""

    rig: Rig
    counts: Counts
    nth: int
    dice: random.Random

    def rule(self, action: Action, **fields: object) -> None:
        """Put a rule in force."""
        self.rig.rules.add(Rule(action=action, **fields))  # type: ignore[arg-type]

    def on_write(self, action: Action, phase: Phase) -> None:
        """Hit the n-th write."""
        self.rule(action, phase=phase, counts=self.counts, nth=self.nth)

    def on_each_first(self, action: Action, phase: Phase, *, counts: Counts | None = None) -> None:
        """Hit the first occurrence of every write (or whatever `counts` says)."""
        done: set[str] = set()
        chosen = counts or self.counts

        def first(request: Request) -> bool:
            if not chosen(request) or str(request) in done:
                return False
            done.add(str(request))
            return True

        self.rule(action, phase=phase, counts=first, budget=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`begin` runs in the rig's loop. `swept`: tried at every write, not once a scenario."""

    begin: Callable[[Attack], Awaitable[None]]
    swept: bool = False


def _killed(phase: Phase) -> Fault:
    async def begin(attack: Attack) -> None:
        async def kill(_request: Request) -> Verdict:
            await attack.rig.kill()
            return DROP

        attack.on_write(kill, phase)

    return Fault(begin=begin, swept=True)


def _says(verdict: Verdict) -> Action:
    async def action(_request: Request) -> Verdict:
        return verdict

    return action


def _dropped(phase: Phase) -> Fault:
    async def begin(attack: Attack) -> None:
        attack.on_write(_says(DROP), phase)

    return Fault(begin=begin, swept=True)


def _answered(phase: Phase, status: int, *, reason: str = "", retry_after: int | None = None) -> Fault:
    async def begin(attack: Attack) -> None:
        attack.on_each_first(_says(Answer(status=status, reason=reason, retry_after=retry_after)), phase)

    return Fault(begin=begin)


async def _touched(attack: Attack) -> None:
    """Somebody else writes the object first, so that a write with preconditions really conflicts."""

    async def touch(request: Request) -> Verdict:
        version = request.path.split("/")[3 if request.group else 2]
        resource = Resource(request.group, version, request.resource, "", namespaced=bool(request.namespace))
        text = f"touch-{attack.dice.randrange(10**9)}"
        client = attack.rig.clients[request.server]
        try:
            await client.merge_patch(
                resource, request.name, request.namespace or None, {"metadata": {"annotations": {TOUCHED: text}}}
            )
        except ApiError as error:
            if error.status != 404:
                raise
        return None

    attack.on_each_first(touch, Phase.BEFORE, counts=lambda one: attack.counts(one) and one.verb != "create")


def _watches(request: Request) -> bool:
    return request.verb == "watch" and request.user == "federation-hub"


def _reads(request: Request) -> bool:
    return request.verb in ("watch", "list") and request.user == "federation-hub"


def _frozen(*, relist: bool) -> Fault:
    async def begin(attack: Attack) -> None:
        thawed = asyncio.Event()

        async def freeze(_request: Request) -> Verdict:
            await thawed.wait()
            return Answer(status=410, reason="Expired") if relist else None

        async def thaw() -> None:
            await asyncio.sleep(FROZEN)
            thawed.set()
            attack.rig.rules.clear()

        attack.rule(freeze, phase=Phase.LINE, counts=_watches, budget=0)
        attack.rig.spawn(thaw())

    return Fault(begin=begin)


async def _cut_in_a_line(attack: Attack) -> None:
    attack.on_each_first(_says(DROP), Phase.LINE, counts=_watches)


async def _gone(attack: Attack) -> None:
    """Every watch breaks, and none can be taken up where it was."""
    attack.on_each_first(_says(Answer(status=410, reason="Expired")), Phase.BEFORE, counts=_watches)
    _reset(attack)


async def _unreadable(attack: Attack) -> None:
    """Every watch breaks, and the first list and watch of each kind after that fail."""
    attack.on_each_first(_says(Answer(status=500, reason="InternalError")), Phase.BEFORE, counts=_reads)
    _reset(attack)


def _reset(attack: Attack) -> None:
    for proxy in attack.rig.proxies.values():
        proxy.reset()


async def _delayed(attack: Attack) -> None:
    async def wait(_request: Request) -> Verdict:
        await asyncio.sleep(attack.dice.choice((0.0, 0.01, 0.05, 0.2)))
        return None

    for phase in Phase:
        attack.rule(wait, phase=phase, counts=lambda one: one.user == "federation-hub", budget=0)


def _partition(server: str, *, refuse: bool) -> Fault:
    async def begin(attack: Attack) -> None:
        async def away() -> None:
            await attack.rig.proxies[server].cut(refuse=refuse)
            try:
                await asyncio.sleep(AWAY)
            finally:
                await attack.rig.proxies[server].heal()

        attack.rig.spawn(away())
        await asyncio.sleep(0.05)

    return Fault(begin=begin)


FAULTS: dict[str, Fault] = {
    "killed before": _killed(Phase.BEFORE),
    "killed after": _killed(Phase.AFTER),
    "reply lost": _dropped(Phase.AFTER),
    "request lost": _dropped(Phase.BEFORE),
    "touched": Fault(begin=_touched),
    "429": _answered(Phase.BEFORE, 429, reason="TooManyRequests"),
    "429 with Retry-After": _answered(Phase.BEFORE, 429, reason="TooManyRequests", retry_after=1),
    "500": _answered(Phase.BEFORE, 500, reason="InternalError"),
    "503 with Retry-After": _answered(Phase.BEFORE, 503, reason="ServiceUnavailable", retry_after=1),
    "504": _answered(Phase.BEFORE, 504, reason="Timeout"),
    "500 after the commit": _answered(Phase.AFTER, 500, reason="InternalError"),
    "504 after the commit": _answered(Phase.AFTER, 504, reason="Timeout"),
    "watches frozen": _frozen(relist=False),
    "watches frozen, then 410": _frozen(relist=True),
    "watches cut in a line": Fault(begin=_cut_in_a_line),
    "410 on every watch": Fault(begin=_gone),
    "500 on every read": Fault(begin=_unreadable),
    "delays": Fault(begin=_delayed),
    "member1 refuses": _partition("member1", refuse=True),
    "member1 is silent": _partition("member1", refuse=False),
    "hub refuses": _partition("hub", refuse=True),
    "hub is silent": _partition("hub", refuse=False),
}
