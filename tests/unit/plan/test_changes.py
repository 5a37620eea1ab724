"""What became of a copy, as people speak of it."""

from typing import Any

import pytest

from federation.api.meta import HUB_LABEL, MARK_ANNOTATION, Manifest
from federation.plan.changes import HIDDEN, Change, Effect, compare, differences


def copy(
    *, kind: str = "Deployment", version: str = "1", uid: str = "u", ours: bool = True, mark: str = "m", **content: Any
) -> Manifest:
    metadata: Manifest = {"name": "web", "namespace": "shop", "uid": uid, "resourceVersion": version, "labels": {}}
    if ours:
        metadata |= {"labels": {HUB_LABEL: "hub"}, "annotations": {MARK_ANNOTATION: mark}}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, **content}


def spec(replicas: int = 2, image: str = "app:1", **more: Any) -> Manifest:
    return {"replicas": replicas, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}, **more}


def one(before: list[Manifest], after: list[Manifest]) -> Change:
    (found,) = compare("member1", before, after)
    return found


@pytest.mark.parametrize(
    ("after", "effect"),
    [
        (copy(version="2", spec=spec(replicas=3)), Effect.SCALE),
        (copy(version="2", spec=spec(image="app:2")), Effect.RESTART),
        (copy(version="2", spec=spec(replicas=3, image="app:2")), Effect.RESTART),
        (copy(version="2", spec=spec(paused=True)), Effect.CHANGE),
        (copy(version="2", uid="v", spec=spec()), Effect.REPLACE),
        (copy(version="2", ours=False, spec=spec()), Effect.RELEASE),
        (copy(version="2", mark="n", spec=spec()), Effect.MARK),
    ],
    ids=["replicas alone scale", "another template restarts", "restarting says more than scaling", "anything else changes",
         "another UID is another object", "without our marks it is released", "our marks alone"],
)  # fmt: skip
def test_the_strongest_word_that_fits(after: Manifest, effect: Effect) -> None:
    assert one([copy(spec=spec())], [after]).effect is effect


def test_what_comes_is_created_and_what_goes_is_deleted_with_its_replicas() -> None:
    there = copy(spec=spec())
    assert (one([], [there]).effect, one([], [there]).replicas) == (Effect.CREATE, (0, 2))
    assert (one([there], []).effect, one([there], []).replicas) == (Effect.DELETE, (2, 0))


@pytest.mark.parametrize(
    "after",
    [copy(spec=spec()), copy(version="2", spec=spec(), status={"ready": 1})],
    ids=["nothing was written", "only a status"],
)
def test_what_stays_as_it_is_is_no_change(after: Manifest) -> None:
    assert compare("member1", [copy(spec=spec())], [after]) == []


def test_what_never_was_ours_is_no_change() -> None:
    before, after = copy(ours=False, spec=spec()), copy(ours=False, version="2", spec=spec(replicas=9))
    assert compare("member1", [before], [after]) == []
    assert compare("member1", [], [after]) == []


def test_items_of_a_list_are_known_by_their_names() -> None:
    before = spec()["template"]
    after = {"spec": {"containers": [{"name": "side", "image": "s:1"}, {"name": "app", "image": "app:2"}]}}
    found = differences("Deployment", copy(spec={"template": before}), copy(spec={"template": after}))
    paths = {field.path: (field.before, field.after) for field in found}
    assert paths == {
        "spec.template.spec.containers[app].image": ("app:1", "app:2"),
        "spec.template.spec.containers[side]": (None, {"name": "side", "image": "s:1"}),
    }


def test_values_of_secrets_are_never_shown() -> None:
    before, after = (
        copy(kind="Secret", data={"a": "b25l", "b": "dHdv"}),
        copy(kind="Secret", data={"a": "dHdv", "c": "b25l"}),
    )
    found = differences("Secret", before, after)
    assert [field.path for field in found] == ["data.a", "data.b", "data.c"]
    assert {value for field in found for value in (field.before, field.after)} == {HIDDEN, None}
