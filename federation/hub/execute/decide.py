"""What to do about one copy: a binding on one cluster. Pure: what is known in, one step out.

Ordering rule: what is unknown waits (I14); a copy is deleted only because the current decision drops its cluster or the
cluster leaves, and only if its mark names this binding (I6).
"""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from federation.api.binding import Decision
from federation.api.lines import Mark, Moment, parse_mark, print_mark
from federation.api.meta import BINDING_LABEL, HUB_LABEL, MARK_ANNOTATION, Manifest
from federation.api.naming import short_hash
from federation.hub.execute.diff import Difference, diff, residue
from federation.hub.execute.render import Rendering
from federation.hub.held import shrink
from federation.hub.views import condition, lines_of
from federation.interpret import replicas_of, requirements_of, retain
from federation.policy.conflict import resolve_conflict

REPLACED_KINDS = frozenset({("batch", "Job"), ("", "Pod")})
"""Kinds that run once: a template under a new UID means a new run, so the copy is replaced instead of adopted."""
CHOSEN_WITHIN = 5.0
"""Seconds that the scheduler has for a cluster that became ready, before a copy there that nobody asked for goes."""


class Step(enum.Enum):
    """The one thing to do next."""

    NOTHING = "nothing"
    CREATE = "create"
    """Create-only apply: refused by the API server where anything of that name exists."""
    APPLY = "apply"
    DELETE = "delete"
    UNMARK = "unmark"
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One step, with what it needs. `reason` and `message` say why it waits or refuses."""

    step: Step
    manifest: Manifest | None = None
    differences: tuple[Difference, ...] = ()
    uid: str = ""
    resource_version: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberState:
    """What is known of one member with regard to one copy. `observed` is our copy as last seen."""

    joined: bool
    reachable: bool
    serves: bool
    knows: bool
    observed: Manifest | None = None
    error: str = ""
    """Why the member's copies cannot be read, if the API server said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who writes the mark: hub and binding."""

    hub_id: str
    namespace: str
    name: str

    @property
    def binding(self) -> str:
        """The binding as the mark writes it."""
        return f"{self.namespace}/{self.name}"


def marked(
    rendering: Rendering, identity: Identity, *, template_uid: str, epoch: int, at: Moment | None = None
) -> Manifest:
    """The rendering with our marks: full reference in one annotation, hashes in labels (DESIGN section 5)."""
    mark = Mark(
        hub=identity.hub_id,
        binding=identity.binding,
        template_uid=template_uid,
        epoch=epoch,
        hash=rendering.hash,
        at=at,
    )
    metadata = dict(rendering.manifest["metadata"])
    metadata["labels"] = {
        **(metadata.get("labels") or {}),
        HUB_LABEL: short_hash(identity.hub_id),
        BINDING_LABEL: short_hash(identity.binding),
    }
    metadata["annotations"] = {**(metadata.get("annotations") or {}), MARK_ANNOTATION: print_mark(mark)}
    return {**rendering.manifest, "metadata": metadata}


def mark_of(observed: Manifest) -> Mark | None:
    """Our mark on a member object; None where there is none."""
    return parse_mark((observed["metadata"].get("annotations") or {}).get(MARK_ANNOTATION) or "")


def is_ours(observed: Manifest, identity: Identity) -> bool:
    """Whether the mark names this hub and this binding."""
    mark = mark_of(observed)
    return mark is not None and mark.hub == identity.hub_id and mark.binding == identity.binding


def is_repair(plan: Plan, observed: Manifest) -> bool:
    """Whether an apply sends again what the copy was last made from: somebody else changed it, not the user."""
    sent = mark_of(plan.manifest) if plan.manifest is not None else None
    last = mark_of(observed)
    return sent is not None and last is not None and sent.hash == last.hash


def inputs_stand(decision: Decision, template: Manifest, scale: int | None) -> bool:
    """Whether the decision was taken for the template as it is now; else execute waits for the next one."""
    recorded: dict[str, Any] = orjson.loads(decision.inputs)
    requirements = requirements_of(template)
    wanted = {
        "replicas": scale if scale is not None else replicas_of(template),
        "requirements": requirements.as_json() if requirements is not None else None,
        "template": template["metadata"]["uid"],
    }
    return all(recorded.get(key) == value for key, value in wanted.items())


def plan_target(
    *,
    identity: Identity,
    rendering: Rendering,
    template: Manifest,
    epoch: int,
    member: MemberState,
    kept: str,
    at_least: int = 0,
    at: Moment | None = None,
) -> Plan:
    """The step for a cluster that the decision names.

    `kept`: the residue of differences that the member insists on. `at_least`: the lowest epoch that its mark may show: a
    cluster taken back before its removal was confirmed gets one write, so that a late DELETE fails (DESIGN section 6).
    """
    blocked = _blocked(member)
    if blocked is not None:
        return blocked
    desired = marked(rendering, identity, template_uid=template["metadata"]["uid"], epoch=epoch, at=at)
    observed = member.observed
    if observed is None:
        return Plan(step=Step.CREATE, manifest=desired)
    if "deletionTimestamp" in observed["metadata"]:
        return Plan(step=Step.WAIT, reason="Terminating", message="the copy in the member is being deleted")
    if not is_ours(observed, identity):
        return foreign(observed, template=template, desired=desired, policy_resolution=None)
    if _replaced(observed, template):
        return _delete(observed)
    desired = retain(desired, observed)
    differences = diff(desired, observed)
    mark = mark_of(observed)
    overtaken = mark is not None and mark.epoch < at_least
    if not overtaken and (not differences or residue(differences) == kept):
        return Plan(step=Step.NOTHING, differences=tuple(differences))
    return apply_over(desired, observed)


def apply_over(desired: Manifest, observed: Manifest) -> Plan:
    """An apply of what is there, by its UID: one that arrives late never makes anew what is gone.

    Where it takes replicas away, also by the resourceVersion that was seen, as a deletion (I6).
    """
    metadata = observed["metadata"]
    return Plan(
        step=Step.APPLY, manifest=desired, differences=tuple(diff(desired, observed)), uid=metadata["uid"],
        resource_version=metadata["resourceVersion"] if shrink(observed, desired) else "",
    )  # fmt: skip


def may_still_be_chosen(binding: Manifest, cluster: Manifest, *, now: float) -> bool:
    """Whether a copy that this binding never heard of is in a cluster that was out a moment ago.

    A template that was made again while its member was away has no decision that ever dropped the member (I21): once the
    member is ready the scheduler may choose it, and the copy is adopted in place.
    """
    metadata = cluster["metadata"]
    if "deletionTimestamp" in metadata or metadata["name"] in lines_of(binding):
        return False
    ready = condition(cluster, "Ready")
    if ready is None or ready["status"] != "True":
        return True
    return now - datetime.fromisoformat(ready["lastTransitionTime"]).timestamp() < CHOSEN_WITHIN


def plan_dropped(*, identity: Identity, member: MemberState, keep: bool) -> Plan:
    """The step for a cluster that the decision does not name, or that leaves. `keep`: leave the object, unmarked."""
    observed = member.observed
    if observed is not None and not is_ours(observed, identity):
        return Plan(step=Step.NOTHING)
    blocked = _blocked(member)
    if blocked is not None:
        return blocked if member.serves or not member.knows else Plan(step=Step.NOTHING)
    if observed is None:
        return Plan(step=Step.NOTHING)
    if keep:
        return Plan(step=Step.UNMARK, manifest=observed)
    if "deletionTimestamp" in observed["metadata"]:
        return Plan(step=Step.WAIT, reason="Terminating", message="the copy is being deleted in the member")
    return _delete(observed)


def foreign(observed: Manifest, *, template: Manifest, desired: Manifest, policy_resolution: str | None) -> Plan:
    """The step where an object that is not ours has the name: refused by name, unless the user said Overwrite."""
    resolution = resolve_conflict(template, policy_resolution)
    if resolution == "Overwrite":
        return apply_over(retain(desired, observed), observed)
    mark = mark_of(observed)
    owner = f"it is marked by hub {mark.hub}, binding {mark.binding}" if mark else "it is not ours"
    metadata = observed["metadata"]
    place = f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]
    return Plan(
        step=Step.REFUSE,
        reason="AlreadyExists",
        message=f"{observed['kind']} {place} exists and {owner}; delete it there, or set conflictResolution: Overwrite",
    )


def unmarked(observed: Manifest) -> list[dict[str, Any]]:
    """The JSON patch that takes our marks off a copy and touches nothing else."""
    metadata = observed["metadata"]
    operations: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/uid", "value": metadata["uid"]}]
    operations.extend(
        {"op": "remove", "path": f"/metadata/labels/{_pointer(key)}"}
        for key in (HUB_LABEL, BINDING_LABEL)
        if key in (metadata.get("labels") or {})
    )
    if MARK_ANNOTATION in (metadata.get("annotations") or {}):
        operations.append({"op": "remove", "path": f"/metadata/annotations/{_pointer(MARK_ANNOTATION)}"})
    return operations


def _blocked(member: MemberState) -> Plan | None:
    if not member.joined:
        return Plan(step=Step.WAIT, reason="NotJoined", message="the cluster is not connected")
    if not member.reachable:
        return Plan(
            step=Step.WAIT, reason="Unreachable", message="the cluster does not answer; last known state is kept"
        )
    if member.knows and not member.serves:
        return Plan(step=Step.WAIT, reason="KindMissing", message="the cluster does not serve this kind")
    if not member.knows:
        return Plan(
            step=Step.WAIT,
            reason="Forbidden" if member.error else "Unknown",
            message=member.error or "the copies in the cluster are not known yet",
        )
    return None


def _replaced(observed: Manifest, template: Manifest) -> bool:
    group = template["apiVersion"].rpartition("/")[0]
    mark = mark_of(observed)
    return (
        (group, template["kind"]) in REPLACED_KINDS
        and mark is not None
        and mark.template_uid != template["metadata"]["uid"]
    )


def _delete(observed: Manifest) -> Plan:
    metadata = observed["metadata"]
    return Plan(step=Step.DELETE, uid=metadata["uid"], resource_version=metadata["resourceVersion"])


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
