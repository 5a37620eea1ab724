"""One scenario under one fault, from a quiet system to a quiet system, and what it left behind."""

import contextlib
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from federation.api.meta import SYSTEM_NAMESPACE
from tests.faults.faults import FAULTS, Attack, Counts
from tests.faults.invariants import Violation, is_free, violations
from tests.faults.journal import Asked, Change, Entry, Note, State, line_of
from tests.faults.outcome import differences, end_state, made_and_removed
from tests.faults.rig import US, NotQuiet, Rig, is_ready
from tests.faults.rules import Request
from tests.faults.scenarios import FOURTH, SCENARIOS, Scenario, Stage, clear, shares

CONVERGES = 15.0
"""Seconds in which a disturbed run must come to the end of the undisturbed one. Calm alone does not tell: a refused request
may be waiting out its Retry-After, or a killed process be starting."""
CALM = 0.6
"""Seconds without a write that counts after which a system that has come to its end state is quiet."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run left behind. `hits`: the requests that the fault hit; none means that the run was undisturbed."""

    writes: list[Request] = field(default_factory=list)
    hits: list[Request] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    trouble: str = ""
    seconds: float = 0.0
    journal: list[Entry] = field(default_factory=list)

    def compared(self, reference: "Outcome") -> list[str]:
        """What is wrong with this run, in lines; empty when it is as the undisturbed one."""
        lines = [self.trouble] if self.trouble else []
        lines += [f"{one}\n{_around(self.journal, one.index)}" for one in self.violations]
        if not self.trouble:
            lines += [f"I9 {line}" for line in differences(reference.end, self.end)]
            for what in sorted(reference.counts.keys() | self.counts.keys()):
                if reference.counts[what] != self.counts[what]:
                    lines.append(f"I10 {what}: {reference.counts[what]} times undisturbed, {self.counts[what]} here")
        return lines


def counted(place: str, cluster: str) -> Counts:
    """Which writes are numbered: ours, in this run's namespace, or about the member that joins or leaves."""

    def counts(request: Request) -> bool:
        if request.user != US or not request.writes or request.resource in ("leases", "events"):
            return False
        if request.resource.endswith("reviews") or request.subresource == "token":
            return False
        if request.resource == "clusters":
            return bool(cluster) and request.name == cluster
        if cluster and (
            request.name == f"cluster-{cluster}" or (request.server, request.name) == (cluster, SYSTEM_NAMESPACE)
        ):
            return True
        return place in (request.namespace, request.name) and not is_free(request)

    return counts


def run(
    rig: Rig,
    name: str,
    fault: str = "",
    nth: int = 0,
    *,
    seed: int = 0,
    linger: float = 0.0,
    like: Outcome | None = None,
) -> Outcome:
    """One run; what goes wrong is in the outcome, not raised. It gets a while to end as the undisturbed run did (`like`)."""
    scenario, outcome, began = SCENARIOS[name], Outcome(), time.monotonic()
    rig.set_member(FOURTH, present=scenario.present)
    members = ["member1", "member2", "member3", *([FOURTH] if scenario.present else [])]
    rig.until(lambda state: all(is_ready(state, name) for name in members), "all members ready")
    place = rig.begin()
    stage = Stage(rig, place)
    counts, errors = counted(place, scenario.cluster), len(rig.process.errors())
    try:
        scenario.prepare(stage)
        _quiet(rig, counts, lambda state: scenario.ready(state, place))
        mark = len(rig.entries())
        with rig.faults():
            if fault:
                attack = Attack(rig=rig, counts=counts, nth=nth, dice=random.Random(seed))
                rig.call(FAULTS[fault].begin(attack))
            rig.note("act")
            scenario.act(stage)
            rig.until(lambda state: scenario.done(state, place), f"{name}, done")
            outcome.hits = rig.look(lambda _: rig.rules.hits())
            rig.faults_over()
            with contextlib.suppress(NotQuiet):  # what differs is told by the comparison
                rig.until(
                    lambda state: like is None or not differences(like.end, _end(state, place, scenario)),
                    "ended as undisturbed", within=CONVERGES,
                )  # fmt: skip
            _quiet(rig, counts, lambda state: scenario.done(state, place))
        rig.note("quiet")
        time.sleep(linger)
    except NotQuiet as error:
        outcome.trouble = f"{error}; copies: {rig.look(lambda state: shares(state, place))}"
    finally:
        for process in stage.running:
            if process.wait(timeout=60) and not outcome.trouble:
                outcome.trouble = f"{process.args} ended with {process.returncode}"
        if not rig.process.running:
            rig.start()
        entries = rig.entries()
        logged = [line for line in rig.process.errors()[errors:] if "will retry" not in line]
        outcome.trouble = outcome.trouble or "\n".join(f"our process logged an error: {line[:600]}" for line in logged)
        outcome.end = rig.look(lambda state: _end(state, place, scenario))
        clear(stage)
    outcome.journal = concerning(entries, place, scenario.cluster)
    outcome.writes = [
        entry.request for entry in entries[mark:] if isinstance(entry, Asked) and counts(entry.request)
    ]  # fmt: skip
    outcome.counts = made_and_removed(outcome.journal, place)
    outcome.violations = violations(outcome.journal)
    outcome.seconds = time.monotonic() - began
    return outcome


def _end(state: State, place: str, scenario: Scenario) -> dict[str, Any]:
    return end_state(state, place, [scenario.cluster] if scenario.cluster else [])


def _quiet(rig: Rig, counts: Counts, still: Any) -> None:
    """Wait until nothing that counts has been written for a moment, and the state is (still) as it should be."""

    def calm(state: Any) -> bool:
        writes = [
            entry.at for entry in rig.journal.entries
            if isinstance(entry, Asked) and counts(entry.request) and not is_free(entry.request)
        ]  # fmt: skip
        return bool(still(state)) and (not writes or rig.journal.clock() - writes[-1] > CALM)

    rig.until(calm, "quiet")


def concerning(entries: Sequence[Entry], place: str, cluster: str = "") -> list[Entry]:
    """The part of the journal that belongs to a run."""
    return [entry for entry in entries if _concerns(entry, place, cluster)]


def about(journal: Sequence[Entry], name: str) -> list[Entry]:
    """The part of a journal that is about one template, its binding and its copies: a check's time grows with both."""
    names = {name}
    for entry in journal:
        found = entry.object if isinstance(entry, Change) and entry.resource == "resourcebindings" else None
        if found is not None and found["spec"]["resource"]["name"] == name:
            names.add(found["metadata"]["name"])
    return [entry for entry in journal if _named(entry) in names or _named(entry) == ""]


def _named(entry: Entry) -> str:
    """The object that an entry is about; empty for what is about all of them."""
    if isinstance(entry, Change):
        return "" if entry.object is None or entry.resource == "clusters" else str(entry.object["metadata"]["name"])
    request = getattr(entry, "request", None)
    return "" if request is None else str(request.name)


def described(journal: Sequence[Entry], found: Sequence[Violation]) -> str:
    """Violations with the journal before each of them."""
    return "\n".join(f"{one}\n{_around(journal, one.index)}" for one in found)


def _concerns(entry: Entry, place: str, cluster: str) -> bool:
    """Whether an entry belongs to this run: what earlier runs leave to be cleared is in the same journal."""
    if isinstance(entry, Change):
        metadata = (entry.object or {}).get("metadata") or {}
        return (
            entry.object is None
            or entry.resource == "clusters"
            or place in (metadata.get("namespace"), metadata["name"])
        )
    request = getattr(entry, "request", None)
    if request is None:
        return isinstance(entry, Note)
    return request.user == US and (place in (request.namespace, request.name) or counted(place, cluster)(request))


def _around(journal: Sequence[Entry], index: int) -> str:
    """The journal before a violation, a line an entry."""
    return "\n".join(f"      {line_of(entry)}" for entry in journal[max(0, index - 6) : index + 1])
