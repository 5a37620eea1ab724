"""Whether a template gets on: Available and Progressing of Deployments, and what kstatus reads of any other kind. Pure.

A member that has been in trouble for longer than the progress deadline fails the template, by name; when it is back, the
template is in progress until all have caught up.
"""

from federation.api.meta import Manifest
from federation.api.words import listed
from federation.interpret.aggregate_input import Input
from federation.interpret.conditions import condition, shown
from federation.interpret.group_kind import DAEMON_SET, DEPLOYMENT, JOB, REPLICA_SET, STATEFUL_SET, GroupKind
from federation.interpret.trouble import told

_STALLS = frozenset({STATEFUL_SET, DAEMON_SET, REPLICA_SET, JOB})
"""Kinds without a condition Progressing, whose schema has room for the conditions that kstatus reads of any kind."""
_DEADLINE, _CATCHING_UP = "ProgressDeadlineExceeded", "CatchingUp"


def available(given: Input) -> Manifest:
    """The condition Available of a Deployment."""
    missing = given.names(lambda facts: shown(facts, "Available")[0] != "True")
    if missing or given.unknown:
        text = f"below minimum availability in {listed(missing)}" if missing else "some clusters have not reported yet"
        return stamped(given, "Available", "False", "MinimumReplicasUnavailable", text + _not_in_step(given))
    text = f"available in all {len(given.members)} clusters{_not_in_step(given)}"
    return stamped(given, "Available", "True", "MinimumReplicasAvailable", text)


def progressing(given: Input) -> Manifest:
    """The condition Progressing of a Deployment."""
    stuck = given.names(lambda facts: shown(facts, "Progressing")[0] == "False")
    if given.late:
        own = [name for name in stuck if name not in given.late]
        text = f"no progress in {told(given.late)}" + (f", nor in {listed(own)}" if own else "")
        return stamped(given, "Progressing", "False", _DEADLINE, text)
    if stuck:
        reason = shown(given.members[stuck[0]], "Progressing")[1] or _DEADLINE
        return stamped(given, "Progressing", "False", reason, f"no progress in {listed(stuck)}")
    busy = given.names(lambda facts: facts.get("health") != "Healthy")
    before = _stored(given.template, "Progressing")
    idle = not busy and not given.unknown
    if before and before.get("status") == "True" and idle and not given.caught_up and not given.troubles:
        # Nothing has moved yet; that observedGeneration is behind says so, and spares a write for every new generation.
        return before
    if idle and (given.caught_up or (given.troubles and not given.behind)):
        text = f"rolled out in all {len(given.members)} clusters{_not_in_step(given)}"
        return stamped(given, "Progressing", "True", "NewReplicaSetAvailable", text)
    text = f"rolling out in {listed(busy)}" if busy else "waiting for clusters to catch up"
    text += _not_in_step(given)
    return stamped(given, "Progressing", "True", "ReplicaSetUpdated", text)


def _not_in_step(given: Input) -> str:
    """Who holds something else than the template says, or whose numbers are not of now."""
    return f"; not in step: {told(given.troubles)}" if given.troubles else ""


def _stored(template: Manifest, kind: str) -> Manifest | None:
    conditions = (template.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == kind), None)


def stalled(given: Input, kind: GroupKind, status: Manifest | None) -> Manifest | None:
    """The status with Stalled, which kstatus reads as failed, once a member is late; then Reconciling until all caught up."""
    if status is None or kind == DEPLOYMENT or (kind not in _STALLS and not status.get("conditions")) or _ended(status):
        return status
    before = (_stored(given.template, "Stalled") or {}, _stored(given.template, "Reconciling") or {})
    ours = any(one.get("reason") in (_DEADLINE, _CATCHING_UP) for one in before)
    if given.late:
        word, reason, message = "Stalled", _DEADLINE, f"no progress in {told(given.late)}"
    elif ours and not given.caught_up:
        word, reason, message = "Reconciling", _CATCHING_UP, f"waiting for clusters to catch up{_not_in_step(given)}"
    else:
        return status
    entry = condition(given.template, word, status="True", reason=reason, message=message, now=given.now)
    rest = [one for one in status.get("conditions") or () if one["type"] != word]
    return {**status, "conditions": [*rest, entry]}


def _ended(status: Manifest) -> bool:
    """Whether a Job is finished: its status never changes again."""
    ends = ("Complete", "Failed")
    return any(one["type"] in ends and one["status"] == "True" for one in status.get("conditions") or ())


def stamped(given: Input, kind: str, status: str, reason: str, message: str) -> Manifest:
    """A condition as Deployments have them, with a time of its last change."""
    return condition(
        given.template, kind, status=status, reason=reason, message=message, now=given.now, updated="lastUpdateTime"
    )
