"""Changes, plans and approvals: an approval lets exactly the changes pass that it names, for an hour."""

import pytest

from federation.api.lines import print_line
from federation.hub.held import APPROVED_FOR, MOST_APPROVED, Cause, Change, approved, held_in, shrink, with_approval

CAUSE = Cause("deleted shop", "templates deleted in namespace shop")


def change(**fields: str) -> Change:
    return Change(**{"cluster": "m1", "uid": "u1", "what": "delete", "cause": CAUSE, **fields})  # type: ignore[arg-type]


def test_one_change_has_one_id_whatever_its_cause_and_others_have_others() -> None:
    assert change().id == change(cause=Cause("x", "y")).id  # type: ignore[arg-type]
    others = [change(cluster="m2"), change(uid="u2"), change(what="5->2"), change(what="5->1")]
    assert len({change().id, *(one.id for one in others)}) == 5


SHRINKS = {
    "fewer replicas": ({"replicas": 5}, {"replicas": 2}, "5->2"),
    "to none": ({"replicas": 1}, {"replicas": 0}, "1->0"),
    "more replicas": ({"replicas": 2}, {"replicas": 5}, ""),
    "as many": ({"replicas": 2}, {"replicas": 2}, ""),
    "left to the member's autoscaler": ({"replicas": 5}, {}, ""),
    "less parallelism of a Job": ({"parallelism": 3, "completions": 9}, {"parallelism": 1, "completions": 9}, "3->1"),
    "no numbers": ({}, {}, ""),
}


@pytest.mark.parametrize("name", SHRINKS)
def test_which_applies_shrink_a_copy(name: str) -> None:
    have, want, what = SHRINKS[name]
    assert shrink({"spec": have}, {"spec": want}) == what


OWNERS = {
    "ours alone: it falls to 1": (["federation"], "5->1"),
    "an autoscaler's": (["kube-controller-manager"], ""),
    "shared with somebody, whose it stays": (["federation", "kube-controller-manager"], ""),
}


@pytest.mark.parametrize("name", OWNERS)
def test_a_number_that_an_apply_leaves_out_is_lowered_only_where_nobody_else_owns_it(name: str) -> None:
    managers, what = OWNERS[name]
    fields = {"fieldsV1": {"f:spec": {"f:replicas": {}}}}
    metadata = {"managedFields": [{"manager": manager, **fields} for manager in managers]}
    assert shrink({"metadata": metadata, "spec": {"replicas": 5}}, {"spec": {}}) == what


def test_a_binding_tells_its_held_changes() -> None:
    line = {"reason": "Held", "plan": "p1", "change": "c1", "do": "delete", "since": "t", "error": "why not"}
    binding = {
        "spec": {"resource": {"kind": "Deployment", "namespace": "shop", "name": "web"}},
        "status": {"members": {"m1": print_line(line), "m2": "health=Healthy"}},
    }
    (found,) = held_in(binding)
    assert (found.plan, found.change, found.what, found.cluster) == ("p1", "c1", "delete", "m1")
    assert (found.object, found.cause, found.since) == ("Deployment shop/web", "why not", "t")


def test_an_approval_stands_for_an_hour_and_names_changes_only() -> None:
    data = with_approval({}, "p1", ["b", "a"], 1000.0)
    assert approved(data) == {"a": 1000.0 + APPROVED_FOR, "b": 1000.0 + APPROVED_FOR}


def test_a_second_approval_of_a_plan_adds_to_the_first_and_drops_what_has_expired() -> None:
    data = with_approval(with_approval({}, "p1", ["a"], 1000.0), "p1", ["b"], 2000.0)
    assert set(approved(data)) == {"a", "b"}
    data = with_approval(data, "p2", ["c"], 1001.0 + APPROVED_FOR)
    assert set(approved(data)) == {"b", "c"}
    assert set(with_approval(data, "p3", ["d"], 9000.0)) == {"p3"}


def test_more_than_can_be_kept_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        with_approval({}, "p1", map(str, range(MOST_APPROVED + 1)), 0.0)


def test_a_line_that_we_did_not_write_approves_nothing() -> None:
    assert approved({"p1": "all of them\n"}) == {}
