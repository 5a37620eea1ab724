"""What a step may not do although the decision asks for it: the last look before a member is written to. Pure.

While the hub is behind its members (decision 0005) nothing is deleted, unmarked or shrunk, and a copy that the hub does not
remember writing keeps its content: only its marks may change. A copy that was written for a later decision than the one at
hand is never touched: whoever took that decision knows better.
"""

from collections.abc import Sequence

from federation.api.lines import Mark
from federation.api.meta import BINDING_LABEL, HUB_LABEL, MARK_ANNOTATION, Manifest
from federation.hub.execute.decide import Plan, Step, mark_of
from federation.hub.execute.diff import Difference
from federation.hub.held import shrink
from federation.hub.timeline import Behind

_MARKS = frozenset(
    {f"metadata.labels.{HUB_LABEL}", f"metadata.labels.{BINDING_LABEL}", f"metadata.annotations.{MARK_ANNOTATION}"}
)
_TOUCHING = frozenset({Step.APPLY, Step.DELETE, Step.UNMARK})


def permitted(plan: Plan, observed: Manifest | None, *, epoch: int | None, behind: Behind | None) -> Plan:
    """The plan, or the one that waits instead. `epoch`: of the decision at hand; None where no decision asks for it."""
    if observed is None or plan.step not in _TOUCHING:
        return plan
    mark = mark_of(observed)
    if mark is not None and epoch is not None and mark.epoch > epoch:
        message = f"the copy was written for decision {mark.epoch}, this hub remembers {epoch}"
        return Plan(step=Step.WAIT, reason="EpochAhead", message=message)
    if behind is None:
        return plan
    why = _removes(plan, observed, mark, behind)
    if not why:
        return plan
    message = f"{why} while the hub is behind its members; run: fedctl hub status"
    return Plan(step=Step.WAIT, reason="HubBehindMembers", message=message)


def _removes(plan: Plan, observed: Manifest, mark: Mark | None, behind: Behind) -> str:
    """What the step would take from the member; empty for nothing."""
    if plan.step is Step.DELETE:
        return "it is not deleted"
    if plan.step is Step.UNMARK:
        return "it is not unmarked"
    if mark is not None and behind.is_ahead(mark) and not _marks_only(plan.differences):
        return f"it was written at {mark.at}, after what this hub remembers, and keeps its content"
    less = shrink(observed, plan.manifest) if plan.manifest is not None else ""
    return f"it keeps its {less.partition('->')[0]} replicas" if less else ""


def _marks_only(differences: Sequence[Difference]) -> bool:
    return all(one.path in _MARKS for one in differences)
