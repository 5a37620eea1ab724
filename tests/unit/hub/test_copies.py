"""The step for one copy: what is unknown waits, what is not ours is not touched, what is deleted is named by UID."""

from typing import Any

import pytest

from federation.api.lines import Mark, print_mark
from federation.api.meta import FIELD_MANAGER, MARK_ANNOTATION
from federation.hub.execute.decide import (
    Identity,
    MemberState,
    Step,
    apply_over,
    is_repair,
    marked,
    plan_dropped,
    plan_target,
    unmarked,
)
from federation.hub.execute.render import render
from federation.policy.facts import ClusterFacts

IDENTITY = Identity(hub_id="hub", namespace="shop", name="app-configmap-1")
TEMPLATE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "app", "namespace": "shop", "uid": "t1"},
    "data": {"a": "1"},
}
RENDERING = render(TEMPLATE, cluster=ClusterFacts(name="m1"), shares={}, overrides=[])


def copy(hub: str = "hub", *, uid: str = "t1", data: str = "1", **metadata: Any) -> dict[str, Any]:
    mark = Mark(hub=hub, binding=IDENTITY.binding, template_uid=uid, epoch=1, hash=RENDERING.hash)
    desired = marked(RENDERING, IDENTITY, template_uid=uid, epoch=1)
    labels = desired["metadata"]["labels"]
    owned = {
        "f:data": {"f:a": {}},
        "f:metadata": {"f:labels": {f"f:{key}": {} for key in labels}, "f:annotations": {f"f:{MARK_ANNOTATION}": {}}},
    }
    return {
        **TEMPLATE, "data": {"a": data},
        "metadata": {
            "name": "app", "namespace": "shop", "uid": "c1", "resourceVersion": "9", "labels": labels,
            "annotations": {MARK_ANNOTATION: print_mark(mark)},
            "managedFields": [{"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": owned}], **metadata,
        },
    }  # fmt: skip


def state(observed: dict[str, Any] | None = None, **fields: Any) -> MemberState:
    return MemberState(
        **{"joined": True, "reachable": True, "serves": True, "knows": True, "observed": observed, **fields}
    )


def target(member: MemberState, *, template: dict[str, Any] = TEMPLATE) -> Any:
    return plan_target(identity=IDENTITY, rendering=RENDERING, template=template, epoch=1, member=member, kept="")


TARGET = {
    "nothing there": (state(), Step.CREATE, ""),
    "as it should be": (state(copy()), Step.NOTHING, ""),
    "drifted": (state(copy(data="2")), Step.APPLY, ""),
    "of another hub": (state(copy("other")), Step.REFUSE, "AlreadyExists"),
    "being deleted": (state(copy(deletionTimestamp="x")), Step.WAIT, "Terminating"),
    "made anew under another UID": (state(copy(uid="old")), Step.APPLY, ""),
    "the member is away": (state(copy(data="2"), reachable=False), Step.WAIT, "Unreachable"),
    "the member does not serve the kind": (state(serves=False), Step.WAIT, "KindMissing"),
    "the member has not been read": (state(knows=False), Step.WAIT, "Unknown"),
    "the member may not be read": (state(knows=False, error="no"), Step.WAIT, "Forbidden"),
    "the member is not connected": (state(joined=False), Step.WAIT, "NotJoined"),
}


@pytest.mark.parametrize("name", TARGET)
def test_the_step_for_a_target(name: str) -> None:
    member, step, reason = TARGET[name]
    plan = target(member)
    assert (plan.step, plan.reason) == (step, reason)


def test_only_an_apply_of_what_was_sent_already_is_a_repair() -> None:
    drifted = copy(data="2")
    assert is_repair(target(state(drifted)), drifted)
    changed = {**TEMPLATE, "data": {"a": "3"}}
    rendering = render(changed, cluster=ClusterFacts(name="m1"), shares={}, overrides=[])
    new = plan_target(identity=IDENTITY, rendering=rendering, template=changed, epoch=1, member=state(copy()), kept="")
    assert new.step is Step.APPLY
    assert not is_repair(new, copy())


def test_an_apply_names_the_copy_and_where_it_shrinks_also_its_version() -> None:
    plan = target(state(copy(data="2")))
    assert (plan.uid, plan.resource_version) == ("c1", "")
    for wanted, version in ((1, "9"), (2, ""), (3, "")):
        kind = {"apiVersion": "apps/v1", "kind": "Deployment"}
        desired, observed = ({**copy(), **kind, "spec": {"replicas": number}} for number in (wanted, 2))
        plan = apply_over(desired, observed)
        assert (plan.uid, plan.resource_version) == ("c1", version)


def test_a_job_of_a_new_template_is_replaced_not_adopted() -> None:
    job = {**TEMPLATE, "apiVersion": "batch/v1", "kind": "Job"}
    assert target(state({**copy(uid="old"), "apiVersion": "batch/v1", "kind": "Job"}), template=job).step is Step.DELETE


DROPPED = {
    "ours goes, by UID and version": (state(copy()), False, Step.DELETE),
    "ours stays unmarked when asked": (state(copy()), True, Step.UNMARK),
    "another hub's is not touched": (state(copy("other")), False, Step.NOTHING),
    "nothing there": (state(), False, Step.NOTHING),
    "an absence that is not known waits": (state(knows=False), False, Step.WAIT),
    "an unreachable member waits": (state(copy(), reachable=False), False, Step.WAIT),
}


@pytest.mark.parametrize("name", DROPPED)
def test_the_step_for_a_dropped_cluster(name: str) -> None:
    member, keep, step = DROPPED[name]
    plan = plan_dropped(identity=IDENTITY, member=member, keep=keep)
    assert plan.step is step
    if step is Step.DELETE:
        assert (plan.uid, plan.resource_version) == ("c1", "9")


def test_unmarking_touches_our_marks_only() -> None:
    paths = [one["path"] for one in unmarked(copy())]
    assert paths[0] == "/metadata/uid"
    assert all("federation.dev~1" in path for path in paths[1:])
    assert len(paths) == 4


def test_a_rendering_has_one_hash_whatever_the_order_of_its_keys() -> None:
    turned = dict(reversed(list(TEMPLATE.items())))
    assert render(turned, cluster=ClusterFacts(name="m1"), shares={}, overrides=[]).hash == RENDERING.hash
