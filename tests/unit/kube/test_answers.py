"""Errors by type, credentials that name their fault, discovery with gaps."""

import json
from pathlib import Path

import pytest
import yaml

from federation.kube import errors
from federation.kube.credentials import Credentials, CredentialsError
from federation.kube.discovery import from_aggregated, from_resource_list
from federation.kube.resource import Resource


def status(reason: str, message: str = "m") -> bytes:
    return json.dumps({"kind": "Status", "reason": reason, "message": message}).encode()


TREE = {
    "a conflict": (409, status("Conflict"), errors.Conflict, True),
    "a name that is taken": (409, status("AlreadyExists"), errors.AlreadyExists, False),
    "nothing there": (404, status("NotFound"), errors.NotFound, False),
    "a version that is gone": (410, status("Expired"), errors.Gone, True),
    "no right": (403, status("Forbidden"), errors.Forbidden, False),
    "no token": (401, status("Unauthorized"), errors.Unauthorized, False),
    "an invalid object": (422, status("Invalid"), errors.Invalid, False),
    "a manifest that server-side apply cannot type": (
        500,
        status("", "failed to create typed patch object"),
        errors.Invalid,
        False,
    ),
    "a manifest that the server cannot convert": (
        500,
        status("", "failed to convert new object (a/b; /v1, Kind=Secret) to proper version: illegal base64 data"),
        errors.Invalid,
        False,
    ),
    "a server in trouble": (503, b"not json", errors.Unavailable, True),
    "too many requests": (429, b"", errors.TooManyRequests, True),
}


@pytest.mark.parametrize("name", TREE)
def test_answers_become_errors_by_type(name: str) -> None:
    code, body, kind, _ = TREE[name]
    assert type(errors.error_from(code, body, {})) is kind


def test_the_server_says_how_long_to_wait() -> None:
    assert errors.error_from(429, b"", {"retry-after": "3"}).retry_after == 3


def config(**cluster: str) -> dict:
    return {
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://x", **cluster}}], "users": [{"name": "u", "user": {"token": "secret"}}],
    }  # fmt: skip


def test_a_kubeconfig_that_is_not_there_is_named() -> None:
    with pytest.raises(CredentialsError, match=r"/nowhere/x does not exist; pass --kubeconfig"):
        Credentials.from_kubeconfig("/nowhere/x")


def test_a_missing_context_is_named_with_the_known_ones(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config()))
    with pytest.raises(CredentialsError, match=r"contexts has no entry 'other' \(known: c\)"):
        Credentials.from_kubeconfig(str(file), "other")


@pytest.mark.parametrize(
    ("cluster", "text"),
    [
        ({"certificate-authority-data": "%%%"}, "certificate-authority-data is not base64"),
        ({"certificate-authority": "/no/ca"}, "names /no/ca"),
    ],
)
def test_a_broken_certificate_is_named_by_field(cluster: dict, text: str) -> None:
    with pytest.raises(CredentialsError, match=text):
        Credentials.from_kubeconfig_dict(config(**cluster))


def test_credentials_do_not_show_their_token() -> None:
    credentials = Credentials.from_kubeconfig_dict(config())
    assert "secret" not in repr(credentials)
    assert credentials.headers() == {"Authorization": "Bearer secret"}


def test_aggregated_discovery_knows_kinds_subresources_and_gaps() -> None:
    document = {"kind": "APIGroupDiscoveryList", "items": [
        {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "freshness": "Current", "resources": [{
            "resource": "deployments", "responseKind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "scope": "Namespaced",
            "verbs": ["list", "watch"], "subresources": [{"subresource": "status"}],
        }]}]},
        {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1beta1", "freshness": "Stale", "resources": []}]},
    ]}  # fmt: skip
    found = from_aggregated([document])
    deployment = found.find("apps/v1", "Deployment")
    assert deployment is not None
    assert deployment.status
    assert deployment.namespaced
    assert "metrics.k8s.io/v1beta1" in found.unknown
    assert "apps/v1: Deployment" in found.lines()


def test_legacy_discovery_marks_the_status_subresource() -> None:
    document = {
        "resources": [
            {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["list"]},
            {"name": "pods/status", "kind": "Pod", "namespaced": True, "verbs": ["patch"]},
        ]
    }
    (pod,) = from_resource_list("", "v1", document)
    assert pod.status


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (
            Resource("apps", "v1", "deployments", "Deployment", namespaced=True),
            "/apis/apps/v1/namespaces/shop/deployments/web/status",
        ),
        (Resource("", "v1", "nodes", "Node", namespaced=False), "/api/v1/nodes/web/status"),
    ],
)
def test_paths_of_objects(resource: Resource, path: str) -> None:
    assert resource.path("shop", "web", "status") == path
