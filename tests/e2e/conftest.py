"""Real clusters for the whole run: a hub and four members, three of them joined. A missing cluster is a failure.

Every test has a namespace of its own; what it leaves is removed on the hub, and must then be gone in the members.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.lab.providers import cluster_set
from tests.e2e.lab import Hub, Lab, eventually
from tests.e2e.manifests import API
from tests.e2e.manifests import namespace as namespace_manifest

pytestmark = pytest.mark.e2e


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The clusters, with the hub process running and member1 (eu), member2 (eu), member3 (us) joined."""
    clusters = cluster_set(os.environ.get("FEDERATION_TEST_SET") or f"test-{os.getpid()}")
    clusters.up(members=4, audit=True)
    found = Lab(clusters, tmp_path_factory.mktemp("hub"))
    try:
        found.process.prepare()
        found.process.start()
        for number, region in ((1, "eu"), (2, "eu"), (3, "us")):
            if found.hub.get("cluster", f"member{number}") is None:
                tier = "gold" if number < 3 else "base"
                found.join(number, "--region", region, "--zone", f"{region}-{number}", "--label", f"tier={tier}")
        yield found
        if found.process.running:
            assert found.process.stop() == 0
    finally:
        if found.process.running:
            found.process.kill()
        if not os.environ.get("FEDERATION_TEST_SET"):
            clusters.down()


@pytest.fixture(scope="session")
def collector(lab: Lab) -> None:
    """The hub's garbage collector knows our kinds: half a minute after they were installed on a new hub."""
    owner = {"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": "absent"}
    probe = {
        "apiVersion": API, "kind": "ClusterResourceBinding",
        "metadata": {"name": "collector-probe", "ownerReferences": [owner]},
        "spec": {"resource": {"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": "absent"}},
    }  # fmt: skip
    lab.hub.apply(probe)
    eventually(lambda: lab.hub.get("crb", "collector-probe") is None, within=90)


@pytest.fixture
def hub(lab: Lab) -> Hub:
    """The hub."""
    return lab.hub


@pytest.fixture
def place(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own on the hub; at the end the hub process runs and all is removed."""
    name = f"t-{abs(hash(request.node.nodeid)) % 10**8:08d}"
    lab.hub.apply(namespace_manifest(name))
    yield name
    if not lab.process.running:
        lab.process.start()
    # Templates first: a namespace whose bindings still have finalizers is looked at again by Kubernetes after 8 s only.
    for binding in lab.hub.every("rb", name):
        template = binding["spec"]["resource"]
        group = template["apiVersion"].rpartition("/")[0]
        kind = f"{template['kind']}.{group}" if group else template["kind"]
        lab.hub.run("delete", kind, template["name"], "-n", name, "--ignore-not-found", "--wait=false")
    eventually(lambda: not lab.hub.every("rb", name), within=60)
    lab.hub.run("delete", "namespace", name, "--ignore-not-found", "--wait=false")
    for member in lab.members.values():
        member.run("delete", "namespace", name, "--ignore-not-found", "--wait=false")


@pytest.fixture
def group(lab: Lab, place: str) -> Iterator[str]:
    """A group of the test's own, whose Widget `w` and definitions are gone at the end."""
    name = f"{place}.test"
    yield name
    if lab.hub.get("crd", f"widgets.{name}") is not None:
        lab.hub.run("delete", f"widgets.{name}", "w", "-n", place, "--ignore-not-found")
    eventually(lambda: not lab.hub.every("rb", place))
    for cluster in (lab.hub, *lab.members.values()):
        cluster.run("delete", "crd", f"widgets.{name}", "--ignore-not-found", "--wait=false")


@pytest.fixture(autouse=True)
def no_errors_in_the_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """The hub process logs no error during any test."""
    if "lab" not in request.fixturenames:
        yield
        return
    lab: Lab = request.getfixturevalue("lab")
    before = len(lab.process.errors())
    yield
    errors = lab.process.errors()[before:]
    assert not errors, "\n".join(errors)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the repository."""
    return Path(__file__).resolve().parents[2]
