"""Requests are read as an audit log would name them, and rules hit the occurrences that they name."""

import pytest

from tests.faults.rules import DROP, Answer, Phase, Request, Rule, Rules, read

READ = {
    "a list": ("GET", "/apis/apps/v1/deployments", "resourceVersion=0", "list apps deployments //"),
    "a watch": ("GET", "/api/v1/namespaces/shop/pods", "watch=true", "watch  pods /shop/"),
    "an object": ("GET", "/apis/apps/v1/namespaces/shop/deployments/web", "", "get apps deployments /shop/web"),
    "its status": ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web/status", "", "patch apps deployments status/shop/web"),
    "a namespace": ("DELETE", "/api/v1/namespaces/shop", "", "delete  namespaces //shop"),
    "a namespace's status": ("PUT", "/api/v1/namespaces/shop/status", "", "update  namespaces status//shop"),
    "a cluster-scoped kind": ("PATCH", "/apis/federation.dev/v1alpha1/clusters/m%31", "", "patch federation.dev clusters //m1"),
    "a whole collection": ("DELETE", "/apis/apps/v1/namespaces/shop/deployments", "", "deletecollection apps deployments /shop/"),
    "what is no resource": ("GET", "/readyz", "", "get   //"),
    "discovery": ("GET", "/apis", "", "get   //"),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_a_request_is_read_from_its_line(case: str) -> None:
    method, path, query, wanted = READ[case]
    found = read("hub", method, path, query)
    assert f"{found.verb} {found.group} {found.resource} {found.subresource}/{found.namespace}/{found.name}" == wanted


def test_a_created_object_is_named_by_its_body() -> None:
    found = read("hub", "POST", "/api/v1/namespaces", "", body=b'{"metadata": {"name": "shop"}}')
    assert (found.verb, found.name, found.writes) == ("create", "shop", True)


def request(**fields: str) -> Request:
    return Request(**{"server": "member1", "method": "PATCH", "path": "/", "verb": "patch", "resource": "deployments", **fields})  # type: ignore[arg-type] # fmt: skip


async def drop(_request: Request):
    return DROP


async def go_on(_request: Request):
    return None


async def test_a_rule_hits_the_occurrences_that_it_names_and_no_other() -> None:
    rules = Rules()
    rule = rules.add(Rule(action=drop, server="member*", resource="deployments", nth=2, budget=2))
    found = [await rules.verdict(request(), Phase.BEFORE) for _ in range(5)]
    assert found == [None, DROP, DROP, None, None]
    assert len(rule.hits) == 2


async def test_requests_that_do_not_match_are_not_counted() -> None:
    rules = Rules()
    rules.add(Rule(action=drop, resource="deployments", name="web", counts=lambda one: one.user == "federation-hub"))
    assert await rules.verdict(request(name="web", user="other"), Phase.BEFORE) is None
    assert await rules.verdict(request(name="db", user="federation-hub"), Phase.BEFORE) is None
    assert await rules.verdict(request(name="web", user="federation-hub"), Phase.AFTER) is None
    assert await rules.verdict(request(name="web", user="federation-hub"), Phase.BEFORE) is DROP


async def test_a_rule_without_a_budget_never_ends() -> None:
    rules = Rules()
    rules.add(Rule(action=drop, budget=0))
    assert [await rules.verdict(request(), Phase.BEFORE) for _ in range(3)] == [DROP] * 3


async def test_the_first_rule_that_decides_wins() -> None:
    async def late(_request: Request):
        return Answer(status=500)

    rules = Rules()
    for action in (go_on, drop, late):
        rules.add(Rule(action=action))
    assert await rules.verdict(request(), Phase.BEFORE) is DROP
