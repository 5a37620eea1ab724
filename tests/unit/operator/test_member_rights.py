"""What the hub is given in a member, and where a token may be sent."""

import pytest

from federation.kube.credentials import CredentialsError
from federation.kube.discovery import Discovery
from federation.kube.resource import Resource
from federation.operator.lifecycle import credentials_of
from federation.operator.rights import WRITE, allowed_rules, looking_rules, usual_rules


def served(group: str, plural: str, kind: str, *verbs: str) -> Resource:
    return Resource(
        group=group, version="v1", plural=plural, kind=kind, namespaced=True, verbs=frozenset(verbs or WRITE)
    )


DISCOVERY = Discovery(
    resources=(
        served("", "configmaps", "ConfigMap"), served("apps", "deployments", "Deployment"),
        served("example.test", "widgets", "Widget"), served("", "bindings", "Binding", "create"),
        served("rbac.authorization.k8s.io", "roles", "Role"), served("metrics.test", "pods", "PodMetrics", "get", "list"),
    ),
    unknown=frozenset(),
)  # fmt: skip


def test_everything_means_the_kinds_that_are_served_written_out_and_no_rights_about_rights() -> None:
    rules = allowed_rules(["*"], DISCOVERY)
    assert [str(rule) for rule in rules] == [
        "core: configmaps [get list watch create patch delete]",
        "apps: deployments [get list watch create patch delete]",
        "example.test: widgets [get list watch create patch delete]",
    ]


def test_no_rule_for_a_member_ever_holds_a_wildcard() -> None:
    names = ["*", "escalate", "impersonate", "roles", "widgets.example.test"]
    for rule in [*usual_rules(), *looking_rules(DISCOVERY), *allowed_rules(names, DISCOVERY)]:
        assert "*" not in {rule.group, *rule.resources, *rule.verbs}


def test_rights_about_rights_come_only_by_their_name() -> None:
    unnamed = [*usual_rules(), *looking_rules(DISCOVERY), *allowed_rules(["*", "widgets"], DISCOVERY)]
    assert not any({"escalate", "bind", "impersonate"} & set(rule.verbs) for rule in unnamed)
    assert not any(rule.group == "rbac.authorization.k8s.io" and set(rule.verbs) - {"list"} for rule in unnamed)
    assert {verb for rule in allowed_rules(["escalate"], DISCOVERY) for verb in rule.verbs} == {"escalate", "bind"}


def test_a_secret_of_another_namespace_is_never_sent_to_a_member() -> None:
    reference = {"namespace": "shop", "name": "s"}
    cluster = {"metadata": {"name": "m1"}, "spec": {"apiEndpoint": "https://m1.test", "secretRef": reference}}
    secret = {"metadata": {"name": "s", "namespace": "shop"}, "data": {"token": "dG9rZW4="}}
    with pytest.raises(CredentialsError, match=r"spec\.secretRef\.namespace must be federation-system"):
        credentials_of(cluster, secret)
    reference["namespace"] = "federation-system"
    assert credentials_of(cluster, secret).headers() == {"Authorization": "Bearer token"}
