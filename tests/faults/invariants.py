"""The invariants of the research (reliability_performance 4.1) on a journal, at every state. Pure.

What must be *true* (sums, availability, leftovers) is checked on the true states; what our process must have *known*
before it wrote (evidence of a deletion, availability of a successor) on the states of what it was told. So no check
needs a tolerance for clocks, but I2, whose events come from several servers without a common order.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from federation.api.lines import parse_line, parse_mark
from federation.api.meta import HUB_LABEL, SYSTEM_NAMESPACE
from tests.faults.journal import Answered, Asked, Entry, Key, Manifest, Note, State, Told, known, truth
from tests.faults.placed import (
    BINDINGS,
    HUB,
    Placed,
    allowed,
    annotation,
    available,
    fresh,
    observed,
    parse_mark_of,
    placed,
    replicas,
)
from tests.faults.rules import Request

COPIED = ("deployments", "configmaps")
LIFETIME = 60.0
"""Seconds that a copy may outlive the proof of its deletion, its member being reachable (I7)."""
DIP = 0.5
"""Seconds within which events of different servers may arrive in another order than they happened (I2)."""
FREE = frozenset({"leases", "events"})
FREE_STATUS = frozenset({
    "clusters", "propagationpolicies", "clusterpropagationpolicies", "overridepolicies", "clusteroverridepolicies",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold after entry `index` of the journal."""

    invariant: str
    index: int
    message: str

    def __str__(self) -> str:
        return f"{self.invariant} at entry {self.index}: {self.message}"


Check = Callable[[Sequence[Entry]], Iterator[Violation]]


def is_free(request: Request) -> bool:
    """Whether a write is outside of the budget: Leases, Events, status of clusters and policies, tokens and reviews."""
    return (
        request.resource in FREE
        or request.resource.endswith("reviews")
        or request.subresource == "token"
        or (request.subresource == "status" and request.resource in FREE_STATUS)
    )


def i1(journal: Sequence[Entry]) -> Iterator[Violation]:
    """Replicas written never exceed what is wanted (or was, until that is settled) plus the declared surge."""
    bound: dict[str, int] = {}
    for index, _, state in truth(journal):
        for one in placed(state):
            if not one.counts or one.template is None:
                continue
            uid = one.binding["metadata"]["uid"]
            total = sum(replicas(copy) for copy in one.copies.values())
            bound[uid] = one.wanted if total == one.wanted else max(bound.get(uid, 0), one.wanted)
            surge = max(1, allowed(one.template, "maxSurge"))
            if total > bound[uid] + surge:
                yield Violation("I1", index, f"{one.place}: {total} replicas written for {bound[uid]} + {surge}")


def i2(journal: Sequence[Entry]) -> Iterator[Violation]:
    """What was available stays so, up to the workload's own maxUnavailable, whatever we move."""
    reached: dict[str, int] = defaultdict(int)
    dips: dict[str, tuple[int, float, str]] = {}
    for index, entry, state in truth(journal):
        yield from _ended(dips, entry.at)
        present = set()
        for one in placed(state):
            if not one.counts or one.template is None:
                continue
            uid = one.binding["metadata"]["uid"]
            present.add(uid)
            total = sum(available(copy) for copy in one.copies.values())
            reached[uid] = min(one.wanted, max(reached[uid], total))
            floor = reached[uid] - allowed(one.template, "maxUnavailable")
            if total >= floor:
                dips.pop(uid, None)
            else:
                dips.setdefault(uid, (index, entry.at, f"{one.place}: {total} available of {floor} that must be"))
        for uid in dips.keys() - present:
            del dips[uid]
    yield from _ended(dips, float("inf"))


def _ended(dips: dict[str, tuple[int, float, str]], now: float) -> Iterator[Violation]:
    for uid, (index, began, message) in list(dips.items()):
        if now - began > DIP:
            del dips[uid]
            yield Violation("I2", index, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A write of ours that takes replicas or a whole copy out of a member, as our process knew things when it asked."""

    index: int
    one: Placed
    cluster: str
    before: Manifest
    after: int
    deletes: bool
    state: State
    elsewhere: int
    """Replicas that are known to be available for what was written last, in the other members."""
    serving: int
    """Replicas that are known to be available in the other members at all."""


def cuts(journal: Sequence[Entry]) -> Iterator[Cut]:
    """Deletions and shrinks of copies."""
    acknowledged: dict[tuple[str, str], Manifest] = {}
    for index, entry, state in known(journal):
        found = entry.object if isinstance(entry, Told | Answered) else None
        if isinstance(found, dict) and "spec" in found and _is_object(found) and observed(found):
            server = entry.server if isinstance(entry, Told) else entry.request.server
            acknowledged[server, found["metadata"]["uid"]] = found
        if not isinstance(entry, Asked) or entry.request.server == HUB or entry.request.resource not in COPIED:
            continue
        request = entry.request
        before = state.get(request.server, request.resource, request.namespace, request.name)
        if before is None or request.verb not in ("delete", "patch") or request.subresource:
            continue
        deletes = request.verb == "delete"
        after = 0 if deletes else _written(request.body, before)
        if not deletes and after >= (replicas(before) if "spec" in before else 0):
            continue
        for one in placed(state):
            if one.copies.get(request.server) is before:
                others = {name: copy for name, copy in one.copies.items() if name != request.server and "spec" in copy}
                remembered = _remembered(one, request, state)
                counted = sum(
                    fresh(copy, acknowledged.get((name, copy["metadata"]["uid"]))) for name, copy in others.items()
                )
                yield Cut(
                    index=index, one=one, cluster=request.server, before=before, after=after, deletes=deletes,
                    state=state, elsewhere=counted + remembered,
                    serving=sum(available(copy) for copy in others.values()) + remembered,
                )  # fmt: skip


def _remembered(one: Placed, request: Request, state: State) -> int:
    """What the binding's own lines say is available in members that a new process has not read yet."""
    lines = ((one.binding.get("status") or {}).get("members") or {}).items()
    unread = {
        name: parse_line(text) for name, text in lines
        if name != request.server and name not in one.copies and (name, request.resource) not in state.listed
    }  # fmt: skip
    return sum(int(fields.get("available", "0")) for fields in unread.values() if "reason" not in fields)


def _written(body: Any, before: Manifest) -> int:
    spec = body.get("spec") if isinstance(body, dict) else None
    return (
        int(spec["replicas"])
        if isinstance(spec, dict) and "replicas" in spec
        else replicas(before)
        if "spec" in before
        else 0
    )


def i3(journal: Sequence[Entry]) -> Iterator[Violation]:
    """The old copy goes, or shrinks, only when what takes its place is available for this very decision."""
    for cut in cuts(journal):
        one = cut.one
        if not one.counts or one.template is None:
            continue
        needed = min(one.wanted, cut.serving + available(cut.before)) - allowed(one.template, "maxUnavailable")
        left = cut.elsewhere + min(cut.after, available(cut.before))
        if left < needed:
            what = "deleted" if cut.deletes else f"shrunk to {cut.after}"
            yield Violation(
                "I3", cut.index,
                f"{one.place}: {cut.cluster} {what} while {cut.elsewhere} elsewhere are known available; {needed} must be",
            )  # fmt: skip


def i4(journal: Sequence[Entry]) -> Iterator[Violation]:
    """The last available copy is never deleted while its template stays."""
    for cut in cuts(journal):
        one = cut.one
        if not cut.deletes or not one.wanted or not available(cut.before):
            continue
        if not cut.serving:
            yield Violation("I4", cut.index, f"{one.place}: the last available copy, in {cut.cluster}, deleted")


def i5(journal: Sequence[Entry]) -> Iterator[Violation]:
    """One epoch is one decision, and is carried out at most once in a cluster."""
    decisions: dict[tuple[str, int], Manifest] = {}
    highest: dict[str, int] = {}
    for index, _, state in truth(journal):
        for one in placed(state):
            uid, epoch = one.binding["metadata"]["uid"], one.decision.get("epoch")
            if epoch is None:
                continue
            if decisions.setdefault((uid, epoch), one.decision)["targets"] != one.decision["targets"]:
                yield Violation("I5", index, f"{one.place}: two decisions with epoch {epoch}")
            if epoch < highest.get(uid, 0):
                yield Violation("I5", index, f"{one.place}: epoch {epoch} after {highest[uid]}")
            highest[uid] = max(epoch, highest.get(uid, 0))
    carried: dict[tuple[str, str, str, int, str], tuple[str, int]] = {}
    for index, entry in enumerate(journal):
        if not isinstance(entry, Answered) or entry.request.server == HUB or entry.status >= 300:
            continue
        mark = parse_mark(annotation(entry.object)) if _is_object(entry.object) else None
        if mark is None or entry.request.verb not in ("patch", "create") or entry.request.subresource:
            continue
        key = (entry.request.server, entry.request.resource, mark.binding, mark.epoch, mark.hash)
        metadata = entry.object["metadata"]
        result = (metadata["uid"], metadata.get("generation") or 0)
        if carried.setdefault(key, result) != result:
            yield Violation(
                "I5", index, f"{mark.binding}: epoch {mark.epoch} carried out twice in {entry.request.server}"
            )


def i6(journal: Sequence[Entry]) -> Iterator[Violation]:
    """Every DELETE names the UID, and no write reaches a member's object that does not carry our mark."""
    for index, entry, state in truth(journal):
        if not isinstance(entry, Asked) or not entry.request.writes or is_free(entry.request):
            continue
        request = entry.request
        if request.verb in ("delete", "deletecollection"):
            conditions = (request.body or {}).get("preconditions") or {} if isinstance(request.body, dict) else {}
            if not conditions.get("uid"):
                yield Violation("I6", index, f"{request}: no UID in its preconditions")
        found = state.get(request.server, request.resource, request.namespace, request.name)
        if request.server == HUB or found is None or request.verb == "create" or _create_only(request):
            continue
        if not _is_ours(found):
            yield Violation("I6", index, f"{request}: the object there is not ours")


def _create_only(request: Request) -> bool:
    metadata = (request.body or {}).get("metadata") or {} if isinstance(request.body, dict) else {}
    return bool(metadata.get("resourceVersion") == "1")


def _is_ours(found: Manifest) -> bool:
    labels = found["metadata"].get("labels") or {}
    return bool(annotation(found)) or HUB_LABEL in labels or found["metadata"]["name"] == SYSTEM_NAMESPACE


def i7(journal: Sequence[Entry]) -> Iterator[Violation]:
    """A copy whose template is gone is gone itself within a minute of its member being reachable."""
    proven: dict[tuple[Key, str], float] = {}
    away: dict[str, bool] = defaultdict(bool)
    last = -1
    for index, entry, state in truth(journal):
        last = index
        if isinstance(entry, Note) and entry.text in ("cut", "healed"):
            away[entry.server] = entry.text == "cut"
            proven.update({found: entry.at for found in proven if found[0][0] == entry.server})
        wanted = {(mark_of_binding(one), one.template is not None) for one in placed(state)}
        live = {binding for binding, present in wanted if present}
        current = set()
        for plural in COPIED:
            for key, copy in state.every(plural):
                mark = parse_mark_of(copy)
                if key[0] == HUB or mark is None or mark.binding in live or not _template_gone(state, plural, key):
                    continue
                found = (key, copy["metadata"]["uid"])
                current.add(found)
                since = proven.setdefault(found, entry.at)
                if away[key[0]]:
                    proven[found] = entry.at
                elif entry.at - since > LIFETIME:
                    yield Violation(
                        "I7",
                        last,
                        f"{key[0]}: {plural} {key[2]}/{key[3]} outlived its template by {entry.at - since:.0f} s",
                    )
        for found in proven.keys() - current:
            del proven[found]


def mark_of_binding(one: Placed) -> str:
    """The binding as a mark names it."""
    metadata = one.binding["metadata"]
    return f"{metadata.get('namespace') or ''}/{metadata['name']}"


def _template_gone(state: State, plural: str, key: Key) -> bool:
    return state.get(HUB, plural, key[2], key[3]) is None


def i8(journal: Sequence[Entry]) -> Iterator[Violation]:
    """When all is quiet nothing is left over: no binding without template, no copy without decision."""
    for index, entry, state in truth(journal):
        if not isinstance(entry, Note) or entry.text != "quiet":
            continue
        decided: dict[str, set[str]] = {}
        for one in placed(state):
            decided[mark_of_binding(one)] = set(one.targets)
            if one.template is None:
                yield Violation("I8", index, f"{one.place}: a binding without its template")
        for plural in COPIED:
            for key, copy in state.every(plural):
                mark = parse_mark_of(copy)
                if key[0] != HUB and mark is not None and key[0] not in decided.get(mark.binding, set()):
                    yield Violation("I8", index, f"{key[0]}: {plural} {key[2]}/{key[3]} is left over")


def i12(journal: Sequence[Entry]) -> Iterator[Violation]:
    """A settled system writes nothing, and neither does a restart, until somebody acts."""
    quiet = False
    for index, entry in enumerate(journal):
        if isinstance(entry, Note) and entry.text in ("act", "quiet"):
            quiet = entry.text == "quiet"
        elif quiet and isinstance(entry, Asked) and entry.request.writes and not is_free(entry.request):
            yield Violation("I12", index, f"{entry.request}, though nothing had changed")


def i13(journal: Sequence[Entry]) -> Iterator[Violation]:
    """FullyApplied is claimed only of what every member has acknowledged; no status is ahead of what was applied.

    But past the progress deadline: tools believe a failure only of an observed generation (docs/status.md).
    """
    claimed: dict[str, int] = defaultdict(int)
    for index, entry, state in known(journal):
        if isinstance(entry, Told) and entry.object is not None and entry.server == HUB:
            _note_claim(claimed, entry.object)
        if not isinstance(entry, Answered) or entry.status >= 300 or entry.request.subresource != "status":
            continue
        if entry.request.resource in BINDINGS and _claims_applied(entry.request):
            for one in placed(state):
                if one.binding["metadata"]["uid"] == entry.object["metadata"]["uid"]:
                    yield from _not_applied(one, index)
        elif entry.request.resource in COPIED and entry.request.server == HUB:
            if not _failed(entry.object) and _claim(entry.object) > claimed[entry.object["metadata"]["uid"]]:
                yield from _ahead(entry.object, state, index)
            _note_claim(claimed, entry.object)


def _claim(template: Manifest) -> int:
    return int((template.get("status") or {}).get("observedGeneration") or 0)


def _failed(template: Manifest) -> bool:
    conditions = (template.get("status") or {}).get("conditions") or []
    return any(one.get("reason") == "ProgressDeadlineExceeded" and one.get("status") != "Unknown" for one in conditions)


def _note_claim(claimed: dict[str, int], template: Manifest) -> None:
    uid = template["metadata"]["uid"]
    claimed[uid] = max(claimed[uid], _claim(template))


def _claims_applied(request: Request) -> bool:
    for operation in request.body if isinstance(request.body, list) else []:
        value = operation.get("value")
        if isinstance(value, dict) and value.get("type") == "FullyApplied" and value.get("status") == "True":
            return True
    return False


def _not_applied(one: Placed, index: int) -> Iterator[Violation]:
    for cluster, count in one.targets.items():
        copy = one.copies.get(cluster)
        mark = parse_mark_of(copy) if copy is not None else None
        if copy is None or mark is None:
            yield Violation("I13", index, f"{one.place}: FullyApplied, but {cluster} has no copy")
        elif one.divided and replicas(copy) != count:
            yield Violation("I13", index, f"{one.place}: FullyApplied, but {cluster} has {replicas(copy)} of {count}")
    for cluster in one.copies.keys() - one.targets.keys():
        yield Violation("I13", index, f"{one.place}: FullyApplied, but {cluster} still has a copy")


def _ahead(template: Manifest, state: State, index: int) -> Iterator[Violation]:
    metadata, claimed = template["metadata"], _claim(template)
    for one in placed(state):
        if one.binding["spec"]["resource"].get("uid") != metadata["uid"]:
            continue
        if claimed > metadata["generation"]:
            yield Violation(
                "I13", index, f"{one.place}: status of generation {claimed}, spec is {metadata['generation']}"
            )
        lines = {
            name: parse_line(text) for name, text in ((one.binding.get("status") or {}).get("members") or {}).items()
        }
        for cluster in one.targets:
            applied = int(lines.get(cluster, {}).get("for", "0"))
            if applied < claimed:
                yield Violation("I13", index, f"{one.place}: status of generation {claimed}, {cluster} has {applied}")


def i14(journal: Sequence[Entry]) -> Iterator[Violation]:
    """No deletion without evidence: the template known gone, or the cluster dropped by the decision, or leaving."""
    for cut in cuts(journal):
        if not cut.deletes or cut.one.template is None or "deletionTimestamp" in cut.one.template["metadata"]:
            continue
        cluster = cut.state.get(HUB, "clusters", "", cut.cluster)
        leaving = cluster is not None and "deletionTimestamp" in cluster["metadata"]
        if cut.cluster in cut.one.targets and not leaving:
            yield Violation("I14", cut.index, f"{cut.one.place}: deleted in {cut.cluster}, which the decision names")
    for index, entry, state in known(journal):
        if isinstance(entry, Asked) and entry.request.verb == "delete" and entry.request.server != HUB:
            yield from _unproven(entry.request, state, index)


def _unproven(request: Request, state: State, index: int) -> Iterator[Violation]:
    """A copy whose binding is unknown, deleted although nobody has told us that its template is gone."""
    copy = state.get(request.server, request.resource, request.namespace, request.name)
    mark = parse_mark_of(copy) if copy is not None and request.resource in COPIED else None
    if mark is None or any(mark_of_binding(one) == mark.binding for one in placed(state)):
        return
    if state.get(HUB, request.resource, request.namespace, request.name) is not None:
        yield Violation("I14", index, f"{request}: no binding is known, and the template is there")


CHECKS: dict[str, Check] = {
    "I1": i1, "I2": i2, "I3": i3, "I4": i4, "I5": i5, "I6": i6, "I7": i7, "I8": i8, "I12": i12, "I13": i13, "I14": i14,
}  # fmt: skip


def violations(journal: Sequence[Entry]) -> list[Violation]:
    """The first violation of each invariant, in the order of the journal."""
    found = (next(check(journal), None) for check in CHECKS.values())
    return sorted((one for one in found if one is not None), key=lambda one: one.index)


def _is_object(found: Any) -> bool:
    return isinstance(found, dict) and "uid" in (found.get("metadata") or {})
