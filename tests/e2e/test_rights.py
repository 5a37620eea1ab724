"""Who may do what: the shipped identities, people of a namespace, deletion protection, and deploy/ on real API servers."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.lab import REPOSITORY, Cluster, Lab, always, eventually
from tests.e2e.manifests import API, config_map, deployment, namespace, on, override, policy, selector

GOLDEN = Path(__file__).parent / "golden"
RENEW = bool(os.environ.get("FEDERATION_RENEW_GOLDEN"))
HUB_PROCESS = "system:serviceaccount:federation-system:federation-hub"
TENANT = "tenant@example.test"
PROTECTED = {"federation.dev/deletion-protected": "true"}
PROTECTED_AS_IN_KARMADA = {"resourcetemplate.karmada.io/deletion-protected": "Always"}
Manifest = dict


def may(cluster: Cluster, user: str, place: str, *, only: str = "") -> str:
    """`kubectl auth can-i --list` in one line a rule, sorted; of the groups that tests define nothing."""
    lines = cluster.run("auth", "can-i", "--list", f"--as={user}", "-n", place).splitlines()[1:]
    rules = (" ".join(line.split()) for line in lines if ".test " not in line)
    return "\n".join(sorted(rule for rule in rules if only in rule)) + "\n"


def same_as_golden(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if RENEW:
        file.write_text(text)
    assert text == file.read_text(), f"FEDERATION_RENEW_GOLDEN=1 writes {file.name} anew; read the difference first"


@pytest.fixture
def fourth(lab: Lab) -> Iterator[Cluster]:
    """member4, joined for one test and gone afterwards."""
    lab.join(4)
    yield lab.member(4)
    if lab.hub.get("cluster", "member4") is not None:
        lab.hub.run("label", "cluster", "member4", *(f"{key}-" for key in PROTECTED))
        lab.fedctl("leave", "member4")


def test_the_hub_process_may_do_on_the_hub_what_is_written_down(lab: Lab) -> None:
    same_as_golden("hub", may(lab.hub, HUB_PROCESS, "default"))
    same_as_golden("hub-federation-system", may(lab.hub, HUB_PROCESS, "federation-system"))
    for verb, resource in (
        ("create", "pods/exec"), ("update", "deployments.apps"), ("delete", "deployments.apps"), ("create", "secrets"),
        ("delete", "namespaces"), ("patch", "secrets"), ("create", "clusterrolebindings"), ("create", "serviceaccounts/token"),
        ("impersonate", "users"), ("delete", "clusters.federation.dev"), ("patch", "propagationpolicies.federation.dev"),
    ):  # fmt: skip
        said = lab.hub.run("auth", "can-i", verb, resource, f"--as={HUB_PROCESS}", "-n", "default", fails=True)
        assert said.startswith("no"), (verb, resource)


def test_the_hub_process_may_do_in_a_member_what_is_written_down(lab: Lab, fourth: Cluster) -> None:
    same_as_golden("member", may(fourth, HUB_PROCESS, "default"))
    same_as_golden("member-federation-system", may(fourth, HUB_PROCESS, "federation-system"))
    role = fourth.get("clusterrole", "federation-hub")
    assert role is not None
    assert "*" not in {word for rule in role["rules"] for words in rule.values() for word in words}


def test_everything_allowed_in_a_member_is_still_written_out(lab: Lab, fourth: Cluster) -> None:
    lab.fedctl("allow", "member4", "*", "--kubeconfig", str(fourth.kubeconfig))
    role = fourth.get("clusterrole", "federation-hub")
    assert role is not None
    assert "*" not in {word for rule in role["rules"] for words in rule.values() for word in words}
    assert fourth.run("auth", "can-i", "create", "storageclasses", f"--as={HUB_PROCESS}").strip() == "yes"
    assert fourth.run("auth", "can-i", "create", "clusterroles", f"--as={HUB_PROCESS}", fails=True).startswith("no")
    assert fourth.run("auth", "can-i", "*", "*", f"--as={HUB_PROCESS}", fails=True).startswith("no")


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
def test_what_a_role_of_kubernetes_gives_a_person_over_our_kinds_is_written_down(
    lab: Lab, place: str, role: str
) -> None:
    lab.hub.run("create", "rolebinding", "one", f"--clusterrole={role}", "--user=one@example.test", "-n", place)
    # The aggregation controller adds our rules to the roles a moment after they were applied.
    eventually(lambda: "federation.dev" in may(lab.hub, "one@example.test", place))
    same_as_golden(f"tenant-{role}", may(lab.hub, "one@example.test", place, only="federation.dev"))
    assert may(lab.hub, "one@example.test", "default", only="federation.dev").strip() == "", "elsewhere nothing"


def test_what_is_applied_from_deploy_is_what_the_api_server_keeps(lab: Lab) -> None:
    assert lab.hub.run("diff", "--server-side", "-k", str(REPOSITORY / "deploy")) == ""


# --- people of a namespace ---------------------------------------------------------------------------------------------


class Tenant:
    """A person with `edit` in one namespace, through kubectl."""

    def __init__(self, hub: Cluster, place: str) -> None:
        self.hub, self.place = hub, place

    def does(self, *arguments: str, manifest: Manifest | None = None) -> str:
        return self.hub.run(f"--as={TENANT}", *arguments, stdin=json.dumps(manifest) if manifest else "")

    def fails(self, *arguments: str, manifest: Manifest | None = None) -> str:
        """A refusal; anything else is the test's failure."""
        return self.hub.run(f"--as={TENANT}", *arguments, stdin=json.dumps(manifest) if manifest else "", fails=True)


@pytest.fixture
def elsewhere(lab: Lab, place: str) -> Iterator[str]:
    """A namespace of somebody else, with something in it that is placed, and a Secret."""
    name = f"{place}-b"
    lab.hub.apply(namespace(name), config_map("theirs", name))
    lab.hub.apply(policy("theirs", name, selector("ConfigMap", "theirs", api="v1"), placement=on("member1")))
    eventually(lambda: lab.hub.settled("ConfigMap", "theirs", name, group=""))
    yield name
    lab.hub.run("delete", "configmap", "theirs", "-n", name, "--ignore-not-found")
    eventually(lambda: not lab.hub.every("rb", name), within=60)
    lab.hub.run("delete", "namespace", name, "--wait=false")
    for member in lab.members.values():
        member.run("delete", "namespace", name, "--ignore-not-found", "--wait=false")


@pytest.fixture
def tenant(lab: Lab, place: str) -> Tenant:
    lab.hub.run("create", "rolebinding", "tenant", "--clusterrole=edit", f"--user={TENANT}", "-n", place)
    eventually(lambda: "overridepolicies" in may(lab.hub, TENANT, place))
    return Tenant(lab.hub, place)


def test_whoever_may_edit_a_namespace_places_and_overrides_what_is_in_it(lab: Lab, place: str, tenant: Tenant) -> None:
    tenant.does("apply", "-f", "-", manifest=config_map("mine", place))
    change = {"overriders": {"plaintext": [{"path": "/data/key", "operator": "replace", "value": "changed"}]}}
    chosen = [selector("ConfigMap", "mine", api="v1")]
    tenant.does("apply", "-f", "-", manifest=override("mine", place, change, selectors=chosen))
    tenant.does("apply", "-f", "-", manifest=policy("mine", place, *chosen, placement=on("member1")))
    eventually(lambda: (lab.member(1).get("configmap", "mine", place) or {}).get("data") == {"key": "changed"})
    assert json.loads(tenant.does("get", "rb", "-n", place, "-o", "json"))["items"][0]["status"]["decision"]["targets"]
    tenant.does("delete", "pp", "mine", "-n", place)


def binding(place: str, *, of: str, name: str = "forged-00000000", **status: object) -> Manifest:
    """A ResourceBinding in `place` that speaks of the ConfigMap `theirs` in `of`."""
    resource = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": of, "name": "theirs", "uid": "u"}
    return {
        "apiVersion": API, "kind": "ResourceBinding", "metadata": {"name": name, "namespace": place},
        "spec": {"resource": resource}, **status,
    }  # fmt: skip


def writes(path: str, value: object) -> Manifest:
    return {"overriders": {"plaintext": [{"path": path, "operator": "replace", "value": value}]}}


FORBIDDEN = "is forbidden: User"
"""What RBAC says."""

MANIFESTS: dict[str, tuple[Callable[[str, str], Manifest], str]] = {
    "a binding in their own namespace": (lambda own, _: binding(own, of=own), FORBIDDEN),
    "a binding that refers to another namespace": (lambda own, other: binding(own, of=other), FORBIDDEN),
    "a binding in another namespace": (lambda _, other: binding(other, of=other), FORBIDDEN),
    "a ClusterPropagationPolicy": (lambda _, other: policy("p", None, selector("ConfigMap", "theirs", api="v1")), FORBIDDEN),
    "a ClusterOverridePolicy": (lambda *_: override("o", None, writes("/data/key", "x")), FORBIDDEN),
    "a policy in another namespace": (lambda _, other: policy("p", other, selector("ConfigMap", api="v1")), FORBIDDEN),
    "an override in another namespace": (lambda _, other: override("o", other, writes("/data/key", "x")), FORBIDDEN),
    "a policy that selects in another namespace": (
        lambda own, other: policy("p", own, {**selector("ConfigMap", api="v1"), "namespace": other}), "is not the namespace of the policy",
    ),
    "an override that selects in another namespace": (
        lambda own, other: override("o", own, writes("/data/key", "x"), selectors=[{**selector("ConfigMap", api="v1"), "namespace": other}]),
        "is not the namespace of the policy",
    ),
    "an override of the namespace": (lambda own, other: override("o", own, writes("/metadata/namespace", other)), "must not change"),
    "an override of the name": (lambda own, _: override("o", own, writes("/metadata/name", "theirs")), "must not change"),
    "an override of the kind": (lambda own, _: override("o", own, writes("/kind", "Secret")), "must not change"),
    "an override of metadata as a whole": (lambda own, other: override("o", own, writes("/metadata", {"namespace": other})), "must not change"),
    "an override of the whole object": (lambda own, _: override("o", own, writes("", {})), "must not change"),
    "an override in the old form": (
        lambda own, other: {
            **override("o", own), "spec": {"resourceSelectors": [selector()], **writes("/metadata/namespace", other)},
        },
        "must not change",
    ),
    "an override of our mark by a path": (lambda own, _: override("o", own, writes("/metadata/annotations/federation.dev~1mark", "x")), "own marks"),
    "an override of our mark by its key": (
        lambda own, _: override("o", own, {"overriders": {"annotationsOverrider": [{"operator": "add", "value": {"federation.dev/mark": "x"}}]}}),
        "own marks",
    ),
    "an override of a document in the namespace": (
        lambda own, _: override("o", own, {"overriders": {"fieldOverrider": [{"fieldPath": "/metadata/namespace", "json": [{"subPath": "/a", "operator": "remove"}]}]}}),
        "must not change",
    ),
    "an image override of the name": (
        lambda own, _: override("o", own, {"overriders": {"imageOverrider": [{"predicate": {"path": "/metadata/name"}, "component": "Tag", "operator": "replace", "value": "v"}]}}),
        "must not change",
    ),
    "a Cluster": (
        lambda *_: {"apiVersion": API, "kind": "Cluster", "metadata": {"name": "evil"}, "spec": {"syncMode": "Push", "apiEndpoint": "https://evil.test", "secretRef": {"namespace": "federation-system", "name": "cluster-member1"}}},
        FORBIDDEN,
    ),
    "a role that writes bindings": (
        lambda own, _: {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r", "namespace": own}, "rules": [{"apiGroups": ["federation.dev"], "resources": ["resourcebindings"], "verbs": ["patch"]}]},
        FORBIDDEN,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("manifest", "words"), MANIFESTS.values(), ids=list(MANIFESTS))
def test_a_person_of_a_namespace_cannot_make(
    place: str, elsewhere: str, tenant: Tenant, manifest: Callable[[str, str], Manifest], words: str
) -> None:
    assert words in tenant.fails("create", "-f", "-", manifest=manifest(place, elsewhere))


def test_a_person_of_a_namespace_cannot_write_what_the_federation_writes_nor_read_what_is_not_theirs(
    lab: Lab, place: str, elsewhere: str, tenant: Tenant
) -> None:
    lab.hub.apply(
        policy("mine", place, selector("ConfigMap", "mine", api="v1"), placement=on("member1")),
        config_map("mine", place),
    )
    eventually(lambda: lab.hub.settled("ConfigMap", "mine", place, group=""))
    (own,) = [one["metadata"]["name"] for one in lab.hub.every("rb", place)]
    (other,) = [one["metadata"]["name"] for one in lab.hub.every("rb", elsewhere)]
    before = lab.hub.every("rb", place)[0]
    decision = json.dumps({"status": {"decision": {"epoch": 99, "targets": {"member2": 0}}}})
    reference = json.dumps({"spec": {"resource": {"namespace": elsewhere, "name": "theirs"}}})
    mark = json.dumps({"metadata": {"annotations": {"federation.dev/mark": "x"}, "finalizers": []}})
    attempts: list[tuple[str, ...]] = [
        ("patch", "rb", own, "-n", place, "--type=merge", "-p", reference),
        ("patch", "rb", own, "-n", place, "--type=merge", "-p", mark),
        ("patch", "rb", own, "-n", place, "--subresource=status", "--type=merge", "-p", decision),
        ("delete", "rb", own, "-n", place),
        ("delete", "rb", "--all", "-n", place),
        ("patch", "rb", other, "-n", elsewhere, "--type=merge", "-p", reference),
        ("patch", "pp", "mine", "-n", place, "--subresource=status", "--type=merge", "-p", '{"status":{}}'),
        ("patch", "cluster", "member1", "--type=merge", "-p", '{"spec":{"apiEndpoint":"https://evil.test"}}'),
        ("delete", "cluster", "member1"),
        ("get", "rb", "-n", elsewhere), ("get", "rb", "-A"), ("get", "pp", "-n", elsewhere), ("get", "cpp"), ("get", "cop"),
        ("get", "crb"), ("get", "clusters.federation.dev"), ("get", "cluster", "member1", "-o", "yaml"), ("get", "clustercapacities"),
        ("get", "secrets", "-n", "federation-system"), ("get", "secret", "cluster-member1", "-n", "federation-system"),
        ("get", "configmaps", "-n", "federation-system"), ("get", "leases", "-n", "federation-system"),
        ("get", "secrets", "-A"), ("get", "configmap", "theirs", "-n", elsewhere),
        ("create", "token", "federation-hub", "-n", "federation-system"),
        ("delete", "validatingadmissionpolicybinding", "federation-boundaries"),
        ("patch", "clusterrole", "federation-edit", "--type=merge", "-p", '{"rules":[]}'),
    ]  # fmt: skip
    for attempt in attempts:
        said = tenant.fails(*attempt)
        assert "forbidden" in said.lower(), (attempt, said)
    after = lab.hub.every("rb", place)[0]
    assert after["spec"] == before["spec"]
    assert after["status"]["decision"] == before["status"]["decision"]


def test_a_policy_that_was_there_before_the_borders_may_still_be_labelled_and_deleted_and_does_nothing(
    lab: Lab, place: str, elsewhere: str
) -> None:
    """The borders are held by the process too: without the admission policy the same manifests move nothing (I22)."""
    lab.hub.run("delete", "validatingadmissionpolicybinding", "federation-boundaries")
    foreign = {**selector("ConfigMap", "theirs", api="v1"), "namespace": elsewhere}
    try:
        eventually(
            lambda: lab.hub.run(
                "apply", "-f", "-", stdin=json.dumps(policy("far", place, foreign, placement=on("member2")))
            )
        )
        lab.hub.apply(config_map("mine", place))
        lab.hub.apply(policy("mine", place, selector("ConfigMap", "mine", api="v1"), placement=on("member2")))
        lab.hub.apply(
            override(
                "far",
                place,
                writes("/metadata/namespace", elsewhere),
                selectors=[selector("ConfigMap", "mine", api="v1")],
            )
        )
        lab.hub.apply({**binding(place, of=elsewhere), "metadata": {"name": "forged-00000000", "namespace": place}})
        forged = {"decision": {"epoch": 1, "targets": {"member2": 0}, "inputs": "{}", "trigger": "Created"}}
        lab.hub.patch("rb", "forged-00000000", place, {"status": forged}, subresource="status")
        reason = lambda: lab.hub.condition("ConfigMap", "mine", place, "FullyApplied", group="").get("reason")
        eventually(lambda: reason() == "OverrideFailed")
        always(lambda: lab.member(2).get("configmap", "theirs", elsewhere) is None, seconds=2)
        assert lab.member(2).get("configmap", "mine", elsewhere) is None
        assert [
            one["metadata"]["name"]
            for one in lab.hub.every("configmaps", elsewhere)
            if one["metadata"]["name"] == "mine"
        ] == []
    finally:
        lab.hub.run("apply", "--server-side", "-k", str(REPOSITORY / "deploy"))
        lab.hub.run("delete", "rb", "forged-00000000", "-n", place, "--ignore-not-found")
    # An admission policy is in force a moment after it was made: nothing is left behind by the tries before.
    another = json.dumps(policy("another", place, foreign))
    create = ("create", "--dry-run=server", "-f", "-")
    eventually(lambda: "is not the namespace" in lab.hub.run(*create, stdin=another, fails=True))
    lab.hub.run("label", "pp", "far", "-n", place, "seen=yes")
    lab.hub.delete("pp", "far", place)


# --- those who run the federation --------------------------------------------------------------------------------------


@pytest.fixture
def platform(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of an account that holds federation-admin and nothing else."""
    user = "--serviceaccount=default:platform"
    lab.hub.run("create", "serviceaccount", "platform", "-n", "default")
    lab.hub.run("create", "clusterrolebinding", "platform", "--clusterrole=federation-admin", user)
    lab.hub.run("create", "rolebinding", "platform", "--role=federation-admin", user, "-n", "federation-system")
    config = json.loads(lab.hub.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": lab.hub.run("create", "token", "platform", "-n", "default").strip()}
    file = tmp_path / "platform.kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))
    yield file
    lab.hub.run("delete", "serviceaccount", "platform", "-n", "default")
    lab.hub.run("delete", "clusterrolebinding", "platform")
    lab.hub.run("delete", "rolebinding", "platform", "-n", "federation-system")


def test_federation_admin_is_enough_to_join_to_allow_and_to_leave(lab: Lab, platform: Path) -> None:
    member = str(lab.member(4).kubeconfig)
    try:
        assert "member4 is ready" in lab.fedctl("join", "member4", "--kubeconfig", member, kubeconfig=platform)
        lab.fedctl("allow", "member4", "persistentvolumes", "--kubeconfig", member, kubeconfig=platform)
        assert "member4 has left" in lab.fedctl("leave", "member4", kubeconfig=platform)
    finally:
        if lab.hub.get("cluster", "member4") is not None:
            lab.fedctl("leave", "member4")
    said = subprocess.run(
        [str(lab.hub.kubectl), "--kubeconfig", str(platform), "get", "secrets", "-n", "default"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "forbidden" in said.stderr


def test_a_cluster_that_points_at_a_secret_elsewhere_is_refused(lab: Lab, place: str) -> None:
    reference = {"namespace": place, "name": "s"}
    spec = {"syncMode": "Push", "apiEndpoint": "https://member.test", "secretRef": reference}
    said = lab.hub.refuses({"apiVersion": API, "kind": "Cluster", "metadata": {"name": "far"}, "spec": spec})
    assert "secretRef.namespace must be federation-system" in said


# --- deletion protection -----------------------------------------------------------------------------------------------


def refused_deletion(cluster: Cluster, *arguments: str) -> str:
    said = cluster.run("delete", *arguments, fails=True)
    assert "it is protected from deletion by its label" in said
    return said


@pytest.mark.parametrize("labels", [PROTECTED, PROTECTED_AS_IN_KARMADA], ids=["ours", "as in Karmada"])
def test_a_protected_template_stays_until_the_command_that_is_named_lifts_it(
    lab: Lab, place: str, labels: dict
) -> None:
    web = deployment("web", place)
    web["metadata"]["labels"] = labels
    lab.hub.apply(policy("web", place, selector(name="web"), placement=on("member1")), web)
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    said = refused_deletion(lab.hub, "deployment", "web", "-n", place)
    refused_deletion(lab.hub, "deployments", "--all", "-n", place)
    refused_deletion(lab.hub, "deployment", "web", "-n", place, "--cascade=orphan")
    assert labels.keys().isdisjoint(PROTECTED) or "federation.dev" not in str(
        (lab.member(1).get("deployment", "web", place) or {})["spec"]["template"]["metadata"]
    )
    lift = said.split("To lift that: kubectl ")[1].splitlines()[0].split()
    lab.hub.run(*lift)
    lab.hub.delete("deployment", "web", place)
    eventually(lambda: lab.member(1).get("deployment", "web", place) is None)


def test_other_values_of_the_label_protect_nothing(lab: Lab, place: str) -> None:
    for value in ("false", "", "Always"):
        lab.hub.apply(config_map("free", place, labels={"federation.dev/deletion-protected": value}))
        lab.hub.delete("configmap", "free", place)


def test_policies_and_clusters_are_protected_and_leave_says_how_to_lift_it(
    lab: Lab, place: str, fourth: Cluster
) -> None:
    kinds = (
        policy("kept", place, selector()), override("kept", place), policy(f"{place}-kept", None, selector(name="absent")),
        override(f"{place}-kept", None),
    )  # fmt: skip
    for manifest in kinds:
        manifest["metadata"]["labels"] = PROTECTED
        lab.hub.apply(manifest)
        where = ["-n", place] if "namespace" in manifest["metadata"] else []
        name = [manifest["kind"].lower(), manifest["metadata"]["name"], *where]
        refused_deletion(lab.hub, *name)
        lab.hub.run("label", *name, *(f"{key}-" for key in PROTECTED))
        lab.hub.run("delete", *name)
    lab.hub.run("label", "cluster", "member4", *(f"{key}={value}" for key, value in PROTECTED.items()))
    refused_deletion(lab.hub, "cluster", "member4")
    for mode in ((), ("--keep",), ("--force",)):
        said = lab.fedctl("leave", "member4", *mode, fails=True)
        assert "kubectl label clusters.federation.dev member4 federation.dev/deletion-protected-" in said
    metadata = (lab.hub.get("cluster", "member4") or {})["metadata"]
    assert "deletionTimestamp" not in metadata
    assert "federation.dev/leave" not in metadata.get("annotations", {}), "what was refused is forgotten"


def test_a_namespace_around_a_protected_object_waits_and_says_so_and_its_copies_stay(lab: Lab, place: str) -> None:
    name = f"{place}-c"
    kept = config_map("kept", name, labels=PROTECTED)
    chosen = policy("kept", name, selector("ConfigMap", "kept", api="v1"), placement=on("member1"))
    lab.hub.apply(namespace(name), kept, config_map("free", name))
    lab.hub.apply(chosen)
    eventually(lambda: lab.hub.settled("ConfigMap", "kept", name, group=""))
    lab.hub.run("delete", "namespace", name, "--wait=false")
    eventually(lambda: lab.hub.get("configmap", "free", name) is None)

    def told() -> bool:
        conditions = (lab.hub.get("namespace", name) or {})["status"]["conditions"]
        return any("it is protected from deletion" in one["message"] for one in conditions if one["status"] == "True")

    eventually(told)
    assert lab.hub.get("configmap", "kept", name) is not None
    assert lab.member(1).get("configmap", "kept", name) is not None
    lab.hub.run("label", "configmap", "kept", "-n", name, *(f"{key}-" for key in PROTECTED))
    # The namespace controller comes back with growing pauses.
    eventually(lambda: lab.hub.get("namespace", name) is None, within=90)
    eventually(lambda: lab.member(1).get("configmap", "kept", name) is None)
    lab.member(1).run("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def test_a_protected_namespace_is_not_deleted(lab: Lab, place: str) -> None:
    lab.hub.run("label", "namespace", place, *(f"{key}={value}" for key, value in PROTECTED.items()))
    said = refused_deletion(lab.hub, "namespace", place)
    assert f"kubectl label namespaces {place} federation.dev/deletion-protected-" in said
    lab.hub.run("label", "namespace", place, *(f"{key}-" for key in PROTECTED))


def test_the_garbage_collector_is_not_held_up_by_a_label_on_what_a_controller_made(lab: Lab, place: str) -> None:
    lab.hub.apply(config_map("owner", place))
    uid = lab.hub.uid("configmap", "owner", place)
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    made = config_map("made", place, labels=PROTECTED)
    made["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    beside = config_map("beside", place, labels=PROTECTED)
    beside["metadata"]["ownerReferences"] = [owner]
    lab.hub.apply(made, beside)
    lab.hub.delete("configmap", "owner", place)
    eventually(lambda: lab.hub.get("configmap", "made", place) is None)
    assert lab.hub.get("configmap", "beside", place) is not None, "its own label protects it, whoever owned it"
    lab.hub.run("label", "configmap", "beside", "-n", place, *(f"{key}-" for key in PROTECTED))
    # Now the collector, which comes back with growing pauses, or we: whoever is first.
    lab.hub.run("delete", "configmap", "beside", "-n", place, "--ignore-not-found")


def test_a_label_on_a_binding_or_a_secret_of_ours_does_not_hold_up_the_hub_process(
    lab: Lab, place: str, fourth: Cluster
) -> None:
    lab.hub.apply(
        policy("app", place, selector("ConfigMap", "app", api="v1"), placement=on("member4")), config_map("app", place)
    )
    eventually(lambda: lab.hub.settled("ConfigMap", "app", place, group=""))
    (name,) = [one["metadata"]["name"] for one in lab.hub.every("rb", place)]
    label = [f"{key}={value}" for key, value in PROTECTED.items()]
    lab.hub.run("label", "rb", name, "-n", place, *label)
    lab.hub.run("label", "secret", "cluster-member4", "-n", "federation-system", *label)
    lab.hub.delete("configmap", "app", place)
    eventually(lambda: lab.hub.binding("ConfigMap", "app", place, group="") is None)
    assert fourth.get("configmap", "app", place) is None
    lab.fedctl("leave", "member4")
    assert lab.hub.get("secret", "cluster-member4", "federation-system") is None


# --- where the process runs --------------------------------------------------------------------------------------------


def test_deploy_host_runs_two_admitted_replicas_on_two_nodes(lab: Lab) -> None:
    """The nodes are simulated and the image is not pulled: this proves what the API server and the scheduler say of it."""
    member = lab.member(4)
    eventually(lambda: member.get("namespace", "federation-system") is None, within=60)
    warned = member.run("apply", "--server-side", "--warnings-as-errors", "-k", str(REPOSITORY / "deploy" / "host"))
    assert "deployment.apps/federation-hub serverside-applied" in warned
    try:
        secret = ("create", "secret", "generic", "federation-hub-kubeconfig", "-n", "federation-system")
        member.run(*secret, "--from-literal=kubeconfig=x")
        member.run("rollout", "status", "deployment/federation-hub", "-n", "federation-system", "--timeout=60s")
        pods = member.every("pods", "federation-system")
        assert len({pod["spec"]["nodeName"] for pod in pods}) == 2
        budget = eventually(
            lambda: (
                (member.get("pdb", "federation-hub", "federation-system") or {}).get("status", {}).get("currentHealthy")
                and member.get("pdb", "federation-hub", "federation-system")
            )
        )
        assert budget["status"]["disruptionsAllowed"] == 1
        rights = may(member, HUB_PROCESS, "federation-system")
        assert "secrets" not in rights
        assert rights == may(member, "system:serviceaccount:federation-system:nobody", "federation-system")
    finally:
        member.run("delete", "-k", str(REPOSITORY / "deploy" / "host"), "--wait=false")
        eventually(lambda: member.get("namespace", "federation-system") is None, within=60)
