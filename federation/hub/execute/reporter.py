"""Writes what execute found out into the binding: the members' lines, FullyApplied, Ready, summary.

Writes are gathered: the first one after a change waits for the members to settle, at most one window; while a rollout runs
there is one a window, 0.2 s doubling to 5 s; what flips a settled binding is written at once (DESIGN, write budget).
"""

import logging
import time
from collections.abc import Callable

from federation.api.lines import parse_line, parse_mark
from federation.api.meta import MARK_ANNOTATION, Manifest
from federation.api.naming import BindingKey
from federation.hub.binding_status import CONDITION_TYPES, READY, Operations
from federation.hub.binding_status import report as report_patch
from federation.hub.caches import HubCaches
from federation.hub.events import emit, subject_of
from federation.hub.execute.report import Outcome, ending, line, report, summary
from federation.hub.execute.windows import Windows
from federation.hub.fleet import Fleet
from federation.hub.held import HELD, held_in
from federation.hub.settings import Settings
from federation.hub.views import decision_of, lines_of
from federation.interpret import facts_of
from federation.kube.errors import Conflict, Invalid, NotFound
from federation.kube.queue import WorkQueue
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, RESOURCE_BINDINGS
from federation.kube.store import Cached
from federation.kube.workers import run_workers

log = logging.getLogger(__name__)


class Reporter:
    """The writer of `status.members`."""

    def __init__(
        self, caches: HubCaches, fleet: Fleet, settings: Settings, *, steps_ahead: Callable[[BindingKey], bool]
    ) -> None:
        """`steps_ahead`: whether more copies of a binding are about to be looked at for the same change."""
        self._caches = caches
        self._fleet = fleet
        self._settings = settings
        self._steps_ahead = steps_ahead
        self._queue: WorkQueue[BindingKey] = WorkQueue()
        self._outcomes: dict[BindingKey, dict[str, Outcome]] = {}
        self._windows = Windows(first=settings.window_first, last=settings.window_last)

    async def run(self) -> None:
        """Write until cancelled."""
        await run_workers(self._queue, self._reconcile, workers=self._settings.workers, name="report")

    def add(self, key: BindingKey) -> None:
        """Something about a copy changed."""
        self._queue.add(key)

    def note(self, key: BindingKey, cluster: str, outcome: Outcome) -> None:
        """Remember what a step found out."""
        self._outcomes.setdefault(key, {})[cluster] = outcome
        self._queue.add(key)

    def noted(self, key: BindingKey, cluster: str) -> Outcome | None:
        """The last outcome of one copy in this process."""
        return self._outcomes.get(key, {}).get(cluster)

    def forget(self, key: BindingKey) -> None:
        """The binding is gone."""
        self._outcomes.pop(key, None)
        self._windows.forget(key)

    def forget_clusters(self, gone: Callable[[str], bool]) -> None:
        """Other processes execute for these clusters now; their stored lines stay as they are."""
        for outcomes in self._outcomes.values():
            for cluster in [cluster for cluster in outcomes if gone(cluster)]:
                del outcomes[cluster]

    def lines_changed(self, old: Cached | None, new: Cached) -> None:
        """Another process may have written lines: what FullyApplied and Ready say of all of them may be late."""
        key, ownership = (new.namespace, new.name), self._fleet.ownership
        if old is None or len(ownership.held) == ownership.shards or not self._outcomes.get(key):
            return
        if lines_of(old.manifest()) != lines_of(new.manifest()):
            self._queue.add(key)

    async def _reconcile(self, key: BindingKey) -> float | None:
        found = self._caches.binding(key)
        if found is None:
            self.forget(key)  # a step that was on its way noted its outcome after the end
            return None
        binding = found.manifest()
        decision = decision_of(binding)
        template = self._caches.template(binding)
        status = binding.get("status") or {}
        outcomes = self._outcomes.get(key, {})
        if not outcomes or len(status.get("conditions") or []) != len(CONDITION_TYPES):
            return None
        if found.deleting or template is None:
            return await self._report_ending(key, binding, outcomes)
        if decision is None:
            return None
        stored = lines_of(binding)
        now = time.time()
        lines = self._lines(binding, outcomes, stored, decision.targets, now=now)
        result = report(binding, decision=decision, lines=lines, generation=template.generation, now=now)
        operations = report_patch(
            binding, lines=lines, applied=result.applied, ready=result.ready, summary=result.summary,
            ready_count=result.ready_count,
        )  # fmt: skip
        if not operations:
            return None
        rolls = result.applied["reason"] == "Applying" or _rolls(stored, lines)
        at_once = (result.settled or (_was_settled(status) and not rolls)) and not self._steps_ahead(key)
        wait = self._windows.wait(key, at_once=at_once, now=time.monotonic())
        if wait > 0:
            return wait
        return await self._write(key, binding, operations, lines)

    async def _report_ending(self, key: BindingKey, binding: Manifest, outcomes: dict[str, Outcome]) -> float | None:
        """Say what is held of a binding whose template is gone; nothing else of it is worth a write."""
        status = binding["status"]
        lines, applied = ending(binding, outcomes, now=time.time())
        operations = report_patch(
            binding, lines=lines, applied=applied, ready=status["conditions"][READY],
            summary=summary({name: parse_line(text) for name, text in lines.items()}) if lines else "",
            ready_count=status.get("ready") or 0,
        )  # fmt: skip
        if not operations or lines == lines_of(binding):
            return None
        wait = self._windows.wait(key, at_once=False, now=time.monotonic())
        return wait if wait > 0 else await self._write(key, binding, operations, lines)

    async def _write(
        self, key: BindingKey, binding: Manifest, operations: Operations, lines: dict[str, str]
    ) -> float | None:
        resource = RESOURCE_BINDINGS if key[0] else CLUSTER_RESOURCE_BINDINGS
        try:
            written = await self._caches.client.json_patch(
                resource, key[1], key[0] or None, operations, subresource="status"
            )
        except (NotFound, Conflict):
            return None
        except Invalid as error:
            log.info("status of binding %s changed meanwhile: %s", key, error.message)
            return 0.1
        self._caches.binding_store(key).learn(written)
        await self._tell_held(binding, lines)
        return None

    async def _tell_held(self, binding: Manifest, lines: dict[str, str]) -> None:
        """One Event a plan, on the template, or on the binding where the template is gone."""
        told = {(entry.plan, entry.change) for entry in held_in(binding)}
        new = [
            entry
            for entry in held_in({**binding, "status": {"members": lines}})
            if (entry.plan, entry.change) not in told
        ]
        for plan in sorted({entry.plan for entry in new}):
            entries = [entry for entry in new if entry.plan == plan]
            what = ", ".join(f"{entry.what} in {entry.cluster}" for entry in entries)
            message = f"held by the brake: {what}: {entries[0].cause}; to let it go: fedctl approve {plan}"
            subject = subject_of(binding, template=self._caches.template(binding) is not None)
            await emit(self._caches.client, subject, reason=HELD, message=message, warning=True, key=plan)

    def _lines(
        self,
        binding: Manifest,
        outcomes: dict[str, Outcome],
        stored: dict[str, str],
        targets: dict[str, int],
        *,
        now: float,
    ) -> dict[str, str]:
        lines: dict[str, str] = {}
        for cluster in sorted({*targets, *stored, *outcomes}):
            outcome = outcomes.get(cluster)
            if outcome is None:
                if cluster in stored:
                    lines[cluster] = stored[cluster]
                continue
            copy = self._copy(binding, cluster)
            if outcome.gone or (copy is None and cluster not in targets and not outcome.reason):
                if cluster not in stored:  # else it is needed until the line without this cluster is written
                    outcomes.pop(cluster, None)
                continue
            facts = facts_of(copy.manifest()) if copy is not None else None
            lines[cluster] = line(
                outcome, facts, uid=copy.uid if copy else "", stored=stored.get(cluster, ""), now=now
            )  # fmt: skip
        return lines

    def _copy(self, binding: Manifest, cluster: str) -> Cached | None:
        member = self._fleet.get(cluster)
        reference = binding["spec"]["resource"]
        if member is None:
            return None
        kind = (reference["apiVersion"], reference["kind"])
        copy = member.copy(kind, reference.get("namespace") or "", reference["name"])
        mark = parse_mark(copy.annotations.get(MARK_ANNOTATION) or "") if copy else None
        own = f"{binding['metadata'].get('namespace') or ''}/{binding['metadata']['name']}"
        return copy if mark is not None and mark.binding == own else None


def _rolls(stored: dict[str, str], lines: dict[str, str]) -> bool:
    """Whether copies were changed since the stored lines: then what they show is a rollout, no flip of their health."""
    return any(_version(stored.get(cluster, "")) != _version(text) for cluster, text in lines.items())


def _version(text: str) -> tuple[str, ...]:
    fields = parse_line(text)
    return (*(fields.get(key, "") for key in ("for", "epoch", "hash")), fields.get("generation", "").partition("/")[2])


def _was_settled(status: Manifest) -> bool:
    ready = next((entry for entry in status["conditions"] if entry["type"] == "Ready"), None)
    return ready is not None and ready["status"] == "True"
