"""Applying on the sandbox hub is what the user's tool would do: fields that a manifest no longer names go."""

import json

import pytest

from federation.api.meta import Manifest
from federation.plan.ownership import CLIENT_SIDE, take_over
from federation.plan.snapshot import LAST_APPLIED
from federation.sandbox import ApiServer
from federation.sandbox.registry import Options
from tests.e2e.manifests import config_map

BEFORE = config_map("app", "default", one="1", two="2")
AFTER = config_map("app", "default", one="9")


def applied_over(before: Manifest, *, manager: str, server_side: bool = False) -> dict[str, str]:
    """The data after AFTER was applied over what `manager` wrote, and what somebody else added."""
    hub = ApiServer()
    kind = hub.kind("v1", "ConfigMap")
    options = Options(manager=manager, force=True)
    if server_side:
        hub.registry.apply(kind, "default", "app", before, options)
    else:
        hub.registry.create(kind, "default", before, options)
    hub.registry.patch(
        kind, "default", "app", lambda old: {**old, "data": {**old["data"], "theirs": "3"}}, Options(manager="other")
    )
    take_over(hub, kind, AFTER, namespace="default")
    (found,) = [one for one in hub.objects("v1", "ConfigMap", "default") if one["metadata"]["name"] == "app"]
    assert LAST_APPLIED not in (found["metadata"].get("annotations") or {})
    return dict(found["data"])


def test_what_a_client_side_apply_set_and_no_longer_names_goes() -> None:
    annotated = {**BEFORE, "metadata": {**BEFORE["metadata"], "annotations": {LAST_APPLIED: json.dumps(BEFORE)}}}
    assert applied_over(annotated, manager=CLIENT_SIDE) == {"one": "9", "theirs": "3"}


def test_what_a_client_side_apply_never_named_stays_although_it_wrote_it() -> None:
    """The API server counts defaults as written by whoever created the object; a three-way apply does not."""
    named = {**BEFORE, "data": {"one": "1"}}
    annotated = {**BEFORE, "metadata": {**BEFORE["metadata"], "annotations": {LAST_APPLIED: json.dumps(named)}}}
    assert applied_over(annotated, manager=CLIENT_SIDE) == {"one": "9", "two": "2", "theirs": "3"}


@pytest.mark.parametrize("annotation", ["{}", "no json", ""], ids=["not of kubectl", "broken", "none"])
def test_without_a_usable_annotation_what_the_client_side_apply_owns_counts(annotation: str) -> None:
    annotated = {**BEFORE, "metadata": {**BEFORE["metadata"], "annotations": {LAST_APPLIED: annotation}}}
    assert applied_over(annotated, manager=CLIENT_SIDE) == {"one": "9", "theirs": "3"}


@pytest.mark.parametrize("manager", ["kubectl", "argocd-controller"])
def test_what_a_server_side_apply_set_and_no_longer_names_goes_whoever_applies(manager: str) -> None:
    assert applied_over(BEFORE, manager=manager, server_side=True) == {"one": "9", "theirs": "3"}


def test_what_was_created_without_an_apply_stays_where_the_manifest_says_nothing() -> None:
    assert applied_over(BEFORE, manager="kubectl-create") == {"one": "9", "two": "2", "theirs": "3"}


def test_what_the_server_maintains_in_a_manifest_from_a_get_is_no_obstacle() -> None:
    hub = ApiServer()
    kind = hub.kind("v1", "ConfigMap")
    copied = {**AFTER, "metadata": {**AFTER["metadata"], "uid": "x", "resourceVersion": "7", "managedFields": [{}]}}
    take_over(hub, kind, copied, namespace="default")
    assert hub.objects("v1", "ConfigMap", "default")[-1]["data"] == {"one": "9"}
