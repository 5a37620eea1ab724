"""When API servers call: as narrowly as it goes, never for the hub process, and open unless something says otherwise."""

import re
from pathlib import Path
from typing import Any

import pytest

from federation.admission.registration import TIMEOUT, bundle_of, differs, url_problem, webhooks
from federation.admission.reviews import REVIEWED
from federation.api.meta import GROUP

URL, BUNDLE = "https://hub.test:9443", b"-----BEGIN CERTIFICATE-----\n"
WANTED = webhooks(URL, BUNDLE)
DOCS = Path(__file__).resolve().parents[3] / "docs" / "admission.md"


def test_every_reviewed_kind_is_registered_by_its_name_and_nothing_else() -> None:
    registered = [
        (rule["apiGroups"][0], plural) for hook in WANTED for rule in hook["rules"] for plural in rule["resources"]
    ]
    assert registered == [resource for one in REVIEWED for resource in one.resources]
    assert not any("*" in word or "/" in word for _, word in registered), "no wildcard, no subresource"


@pytest.mark.parametrize("hook", WANTED, ids=lambda hook: hook["name"])
def test_a_webhook_holds_up_nobody_for_long_and_never_the_hub_process(hook: dict[str, Any]) -> None:
    assert hook["failurePolicy"] == "Ignore"
    assert hook["timeoutSeconds"] == TIMEOUT <= 3
    assert hook["sideEffects"] == "None"
    conditions = {one["name"]: one["expression"] for one in hook["matchConditions"]}
    assert "system:serviceaccount:federation-system:federation-hub" in conditions["not-the-hub-process"]
    assert "object.spec != oldObject.spec" in conditions["spec-changed"]
    assert "system:kube-controller-manager" in conditions["somebody-reads-it"]


def test_only_of_policies_a_deletion_is_told_and_none_is_asked_about_a_template() -> None:
    asked = {
        hook["name"].partition(".")[0] for hook in WANTED for rule in hook["rules"] if "DELETE" in rule["operations"]
    }
    assert asked == {"propagation"}


def test_templates_are_looked_at_once_when_they_are_made() -> None:
    for hook in WANTED:
        for rule in hook["rules"]:
            if rule["apiGroups"] != [GROUP]:
                assert rule["operations"] == ["CREATE"]


def defaulted(hook: dict[str, Any]) -> dict[str, Any]:
    return {**hook, "somethingOfANewerVersion": {"a": 1}}


def test_what_an_api_server_adds_is_no_reason_to_write_again() -> None:
    assert not differs([defaulted(hook) for hook in WANTED], WANTED)


CHANGED: dict[str, list[dict[str, Any]]] = {
    "nothing registered": [], "one is missing": WANTED[:-1], "one more": [*WANTED, WANTED[0]],
    "another bundle": webhooks(URL, b"other"), "another URL": webhooks("https://old.test", BUNDLE),
    "somebody closed it": [{**WANTED[0], "failurePolicy": "Fail"}, *WANTED[1:]],
    "somebody widened a rule": [{**WANTED[0], "rules": [*WANTED[0]["rules"], {}]}, *WANTED[1:]],
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_a_difference_is_written(name: str) -> None:
    assert differs(CHANGED[name], WANTED)


def test_what_is_trusted_now_is_what_all_webhooks_say() -> None:
    assert bundle_of(WANTED) == BUNDLE
    assert bundle_of([]) == b""
    assert bundle_of([*WANTED[:-1], webhooks(URL, b"other")[-1]]) == b""


def test_a_path_of_the_url_is_kept() -> None:
    assert webhooks("https://hub.test/fed/", BUNDLE)[0]["clientConfig"]["url"] == "https://hub.test/fed/review"


@pytest.mark.parametrize("url", ["", "https://hub.test", "https://127.0.0.1:9443", "https://[::1]:9443/path"])
def test_urls_that_api_servers_take(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize(
    "url",
    ["hub.test", "http://hub.test", "https://", "https://u@hub.test", "https://h?x=1", "https://h#x", "https://h:x"],
)
def test_urls_that_api_servers_refuse(url: str) -> None:
    assert "is not of the form" in (url_problem(url) or "")


def test_the_table_of_the_docs_is_the_table_of_the_program() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (open|closed) \| (.+?) \|$", DOCS.read_text(), re.MULTILINE)
    assert rows == [
        (
            one.name, ", ".join(plural for _, plural in one.resources), ", ".join(one.operations).lower(),
            "open" if one.failure == "Ignore" else "closed", one.because,
        )
        for one in REVIEWED
    ]  # fmt: skip
