"""Differences between a rendering and a member's object, seen through what we own there."""

from typing import Any

from federation.api.lines import Mark, print_mark
from federation.api.meta import FIELD_MANAGER, MARK_ANNOTATION
from federation.hub.execute.diff import contested, diff, owners_of, residue

Manifest = dict[str, Any]


def observed(data: Manifest, owned: Manifest, *others: Manifest, **metadata: Any) -> Manifest:
    ours = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": owned}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "managedFields": [ours, *others], **metadata},
        **data,
    }


def desired(data: Manifest, **metadata: Any) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **metadata}, **data}


def test_equal_is_no_difference_and_what_others_added_stays() -> None:
    have = observed({"data": {"a": "1", "theirs": "2"}}, {"f:data": {"f:a": {}}})
    assert diff(desired({"data": {"a": "1"}}), have) == []


def test_a_changed_field_is_a_difference() -> None:
    found = diff(desired({"data": {"a": "1"}}), observed({"data": {"a": "2"}}, {"f:data": {"f:a": {}}}))
    assert [str(one) for one in found] == ['data.a: want "1", member has "2"']


def test_a_field_of_ours_that_left_the_template_is_a_difference() -> None:
    have = observed({"data": {"a": "1", "b": "2"}}, {"f:data": {"f:a": {}, "f:b": {}}})
    assert [one.path for one in diff(desired({"data": {"a": "1"}}), have)] == ["data.b"]


def test_list_maps_are_compared_by_key_and_defaults_inside_stay() -> None:
    owned = {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}}}}
    have = observed({"spec": {"ports": [{"port": 80, "protocol": "TCP", "nodePort": 30000}]}}, owned)
    assert diff(desired({"spec": {"ports": [{"port": 80}]}}), have) == []
    assert diff(desired({"spec": {"ports": [{"port": 81}]}}), have) != []


def test_sets_hold_what_others_added() -> None:
    have = observed({"finalizers": ["ours", "theirs"]}, {"f:finalizers": {'v:"ours"': {}}})
    assert diff(desired({"finalizers": ["ours"]}), have) == []
    assert diff(desired({"finalizers": []}), have) != []


def test_a_newer_epoch_alone_is_no_reason_to_write() -> None:
    old, new = (print_mark(Mark(hub="h", binding="n/b", template_uid="u", epoch=epoch, hash="x")) for epoch in (1, 2))
    owned = {"f:metadata": {"f:annotations": {f"f:{MARK_ANNOTATION}": {}}}}
    have = observed({}, owned, annotations={MARK_ANNOTATION: old})
    assert diff(desired({}, annotations={MARK_ANNOTATION: new}), have) == []
    foreign = print_mark(Mark(hub="h", binding="n/b", template_uid="other", epoch=2, hash="x"))
    assert diff(desired({}, annotations={MARK_ANNOTATION: foreign}), have) != []


def test_the_owner_of_a_contested_field_is_named() -> None:
    rival = {"manager": "rival", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}}
    have = observed({"data": {"a": "2"}}, {"f:data": {"f:a": {}}}, rival)
    assert owners_of(have, diff(desired({"data": {"a": "1"}}), have)) == ["rival"]


def test_equal_residues_have_equal_names() -> None:
    have = observed({"data": {"a": "2"}}, {"f:data": {"f:a": {}}})
    assert (
        residue(diff(desired({"data": {"a": "1"}}), have)) == residue(diff(desired({"data": {"a": "1"}}), have)) != ""
    )
    assert residue([]) == ""


def test_who_contests_a_field_is_named_with_its_values_but_for_a_secret() -> None:
    rival = {"manager": "rival", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}}
    have = observed({"data": {"a": "hers"}}, {"f:data": {"f:a": {}}}, rival)
    found = diff(desired({"data": {"a": "ours"}}), have)
    assert contested(have, found) == (
        'rival keeps changing what the template sets (data.a: want "ours", member has "hers")'
    )
    secret = {**have, "kind": "Secret"}
    assert contested(secret, found) == "rival keeps changing what the template sets (data.a)"
