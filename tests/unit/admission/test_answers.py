"""AdmissionReview v1 in and out."""

from typing import Any

import pytest

from federation.admission.review import (
    API_VERSION,
    SHOWN,
    WARNING_LIMIT,
    Malformed,
    Request,
    Verdict,
    answer,
    request_of,
    verdict,
)
from federation.policy.violation import Violation

ASKED: dict[str, Any] = {
    "apiVersion": API_VERSION, "kind": "AdmissionReview",
    "request": {
        "uid": "u", "resource": {"group": "apps", "version": "v1", "resource": "jobs"}, "operation": "UPDATE", "namespace": "shop",
        "object": {"metadata": {"name": "a"}}, "oldObject": {"metadata": {"name": "a"}}, "userInfo": {"username": "one"},
    },
}  # fmt: skip


def asked(**request: Any) -> dict[str, Any]:
    return {**ASKED, "request": {**ASKED["request"], **request}}


def test_a_question_is_read() -> None:
    found = request_of(ASKED)
    assert (found.uid, found.group, found.resource, found.operation) == ("u", "apps", "jobs", "UPDATE")
    assert (found.namespace, found.name, found.old) == ("shop", "a", {"metadata": {"name": "a"}})


def test_a_subresource_is_another_resource() -> None:
    assert request_of(asked(subResource="status")).resource == "jobs/status"


def test_what_is_deleted_has_no_new_object_and_what_is_created_no_old_one() -> None:
    assert request_of(asked(operation="DELETE", object=None)).object == {}
    assert request_of(asked(operation="CREATE", oldObject=None)).old is None


MALFORMED: dict[str, Any] = {
    "a list": [], "a word": "x", "nothing": None, "another kind": {**ASKED, "kind": "Pod"},
    "another version": {**ASKED, "apiVersion": "admission.k8s.io/v1beta1"}, "no request": {**ASKED, "request": None},
    "no uid": asked(uid=""), "a uid that is no text": asked(uid=3), "no resource": asked(resource="jobs"),
    "an object that is a list": asked(object=[1]), "an old object that is a word": asked(oldObject="x"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_anything_else_is_no_question(name: str) -> None:
    with pytest.raises(Malformed):
        request_of(MALFORMED[name])


QUESTION = Request(uid="u", group="g", resource="r", operation="CREATE", object={})


def test_an_answer_names_the_question_and_says_nothing_more_than_it_must() -> None:
    assert answer(QUESTION, Verdict()) == {
        "apiVersion": API_VERSION, "kind": "AdmissionReview", "response": {"uid": "u", "allowed": True},
    }  # fmt: skip


def test_a_refusal_names_every_field_up_to_a_limit_and_counts_the_rest() -> None:
    wrong = [Violation("rule", f"spec.field{number}", "wrong; mend it") for number in range(SHOWN + 3)]
    response = answer(QUESTION, verdict(wrong))["response"]
    assert response["allowed"] is False
    assert response["status"]["code"] == 422
    assert "spec.field0: wrong; mend it" in response["status"]["message"]
    assert f"spec.field{SHOWN}" not in response["status"]["message"]
    assert response["status"]["message"].endswith("and 3 more")


def test_warnings_stay_within_what_an_api_server_passes_on() -> None:
    response = answer(QUESTION, verdict([], warnings=[f"{number} " + "x" * 1000 for number in range(99)]))["response"]
    assert len(response["warnings"]) == SHOWN + 1
    assert all(len(line) <= WARNING_LIMIT for line in response["warnings"])
    assert sum(map(len, response["warnings"])) < 4096


def test_the_same_warning_is_given_once() -> None:
    assert verdict([], warnings=["a", "b", "a"]).warnings == ("a", "b")
