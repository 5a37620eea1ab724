"""Static properties of deploy/ and of the Containerfile: what is shipped grants no more than it says and fits the program."""

import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import yaml

from federation.admission import url_problem
from federation.admission.registration import CONFIGURATION
from federation.admission.run import SECRET
from federation.api.crds import KINDS, all_crds
from federation.api.meta import GROUP, SYSTEM_NAMESPACE
from federation.api.quantity import nanos
from federation.app import hub
from federation.hub.eligible import PROBE
from federation.hub.schedule.ledger import FILE_BYTES, FILES

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
MACHINE_WRITTEN = {"resourcebindings", "clusterresourcebindings", "clustercapacities", "works"}
TENANT = "rbac.authorization.k8s.io/aggregate-to-"
Manifest = dict[str, Any]


def documents(folder: Path = DEPLOY) -> list[Manifest]:
    return [one for file in sorted(folder.rglob("*.yaml")) for one in yaml.safe_load_all(file.read_text()) if one]


def of_kind(*kinds: str, folder: Path = DEPLOY) -> list[Manifest]:
    return [one for one in documents(folder) if one["kind"] in kinds]


def one(kind: str, name: str, folder: Path = DEPLOY) -> Manifest:
    (found,) = [entry for entry in of_kind(kind, folder=folder) if entry["metadata"]["name"] == name]
    return found


def rules(*roles: Manifest) -> Iterator[Manifest]:
    for role in roles:
        yield from role["rules"]


def tenant_roles() -> list[Manifest]:
    return [
        role
        for role in of_kind("ClusterRole")
        if any(key.startswith(TENANT) for key in role["metadata"].get("labels") or ())
    ]


def verbs_on(resource: str, *roles: Manifest) -> set[str]:
    return {
        verb
        for rule in rules(*roles)
        if resource in rule["resources"] and GROUP in rule["apiGroups"]
        for verb in rule["verbs"]
    }


def test_no_role_has_a_wildcard_verb_and_only_the_hub_process_reads_by_wildcard() -> None:
    for role in of_kind("Role", "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"], role["metadata"]["name"]
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
            if "*" in rule["apiGroups"] or any("*" in name for name in rule["resources"]):
                assert role["metadata"]["name"] == "federation-hub"
                assert (rule["resources"], rule["verbs"]) in (
                    (["*"], ["get", "list", "watch"]), (["*/status"], ["patch"]),
                )  # fmt: skip


def test_the_hub_process_deletes_our_own_objects_only() -> None:
    deletes = {
        (role["kind"], group, name)
        for role in of_kind("Role", "ClusterRole") if role["metadata"]["name"] == "federation-hub"
        for rule in role["rules"] if "delete" in rule["verbs"]
        for group in rule["apiGroups"] for name in rule["resources"]
    }  # fmt: skip
    assert deletes == {
        ("ClusterRole", GROUP, "resourcebindings"), ("ClusterRole", GROUP, "clusterresourcebindings"),
            ("ClusterRole", GROUP, "rebalances"),
        ("Role", "", "secrets"), ("Role", "apps", "deployments"), ("Role", "coordination.k8s.io", "leases"),
    }  # fmt: skip
    (deployments,) = [
        rule
        for rule in one("Role", "federation-hub")["rules"]
        if "deployments" in rule["resources"] and "delete" in rule["verbs"]
    ]
    assert deployments["resourceNames"] == [PROBE]


def test_the_hub_process_patches_exactly_the_crds_that_it_installs() -> None:
    (patches,) = [
        rule for rule in one("ClusterRole", "federation-hub")["rules"]
        if "customresourcedefinitions" in rule["resources"] and "patch" in rule["verbs"]
    ]  # fmt: skip
    assert sorted(patches["resourceNames"]) == sorted(crd["metadata"]["name"] for crd in all_crds())


def test_the_hub_process_changes_one_webhook_configuration_and_creates_none() -> None:
    (webhooks,) = [
        rule
        for rule in rules(*of_kind("Role", "ClusterRole"))
        if "admissionregistration.k8s.io" in rule["apiGroups"] and rule["apiGroups"] != ["*"]
    ]
    assert webhooks == {
        "apiGroups": ["admissionregistration.k8s.io"], "resources": ["validatingwebhookconfigurations"],
        "resourceNames": [CONFIGURATION], "verbs": ["patch"],
    }  # fmt: skip
    secrets = [rule for rule in rules(one("Role", "federation-hub")) if "secrets" in rule["resources"]]
    assert not any("create" in rule["verbs"] for rule in secrets)


def test_what_the_process_fills_in_is_made_empty_so_that_applying_it_again_takes_nothing_away() -> None:
    configuration = one("ValidatingWebhookConfiguration", CONFIGURATION, folder=DEPLOY / "hub")
    secret = one("Secret", SECRET, folder=DEPLOY / "hub")
    assert configuration.keys() == secret.keys() == {"apiVersion", "kind", "metadata"}
    assert secret["metadata"]["namespace"] == SYSTEM_NAMESPACE


def test_the_address_of_admission_leads_through_the_service_and_the_network_to_the_port() -> None:
    (container,) = pod()["containers"]
    arguments = [text.replace("$(POD_IP)", "10.0.0.1") for text in container["args"][1:]]
    context = hub.make_context("hub", arguments)
    service = one("Service", "federation-hub-admission")
    url = urlsplit(context.params["admission_url"])
    assert url_problem(context.params["admission_url"]) is None
    assert url.hostname == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    (port,) = service["spec"]["ports"]
    assert port["port"] == (url.port or 443)
    named = {entry["name"]: entry["containerPort"] for entry in container["ports"]}
    assert named[port["targetPort"]] == context.params["admission_port"]
    assert service["spec"]["selector"].items() <= pod_labels().items()
    opened = [
        port["port"] for entry in one("NetworkPolicy", "federation-hub")["spec"]["ingress"] for port in entry["ports"]
    ]
    assert sorted(opened) == sorted(named.values())


def pod_labels() -> dict[str, str]:
    return one("Deployment", "federation-hub")["spec"]["template"]["metadata"]["labels"]


def test_rights_inside_the_namespace_are_for_the_namespace_only() -> None:
    kinds = (
        "Role",
        "RoleBinding",
        "ServiceAccount",
        "Deployment",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "Service",
        "Secret",
    )
    for role in of_kind(*kinds):
        assert role["metadata"]["namespace"] == SYSTEM_NAMESPACE


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.plural)
def test_every_kind_of_ours_is_with_tenants_what_its_scope_and_writer_make_it(model: Any) -> None:
    tenants = verbs_on(model.plural, *tenant_roles())
    if model.scope == "Cluster":
        assert tenants == set(), "cluster-scoped kinds are for those who run the federation"
    elif model.plural in MACHINE_WRITTEN:
        assert tenants == {"get", "list", "watch"}
    else:
        assert tenants == {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
    platform = verbs_on(model.plural, one("ClusterRole", "federation-admin"))
    assert ("create" in platform) == (model.plural not in MACHINE_WRITTEN)
    assert "list" in platform


def test_nobody_but_the_hub_process_writes_bindings_or_any_status() -> None:
    for role in of_kind("Role", "ClusterRole"):
        if role["metadata"]["name"] == "federation-hub":
            continue
        for rule in role["rules"]:
            assert not any("/" in name for name in rule["resources"])
            if MACHINE_WRITTEN & set(rule["resources"]):
                assert set(rule["verbs"]) == {"get", "list", "watch"}


def test_reading_is_enough_for_the_role_that_is_added_to_view() -> None:
    role = one("ClusterRole", "federation-view")
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_kustomizations_name_every_file_beside_them() -> None:
    for folder in (DEPLOY / "hub", DEPLOY / "host"):
        listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
        assert sorted(listed) == sorted(
            file.name for file in folder.glob("*.yaml") if file.name != "kustomization.yaml"
        )
    assert yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["resources"] == ["hub"]


def pod() -> Manifest:
    return one("Deployment", "federation-hub")["spec"]["template"]["spec"]


def test_the_arguments_of_the_deployment_are_accepted_by_the_program() -> None:
    (container,) = pod()["containers"]
    known = {entry["name"] for entry in container["env"]}
    command, *arguments = [text.replace("$(POD_IP)", "10.0.0.1") for text in container["args"]]
    assert command == "hub"
    assert "POD_IP" in known
    context = hub.make_context("hub", list(arguments))
    assert context.params["bind"] == "10.0.0.1", "a node's probes do not reach loopback"
    assert context.params["port"] == container["ports"][0]["containerPort"]
    mounted = {entry["mountPath"] for entry in container["volumeMounts"]}
    assert str(Path(context.params["kubeconfig"]).parent) in mounted
    with pytest.raises(click.NoSuchOption):
        hub.make_context("hub", ["--no-such-flag"])


def test_the_ledger_has_a_volume_of_each_pod_that_it_cannot_overfill() -> None:
    (container,) = pod()["containers"]
    directory = hub.make_context("hub", list(container["args"][1:])).params["ledger"]
    (mount,) = [one for one in container["volumeMounts"] if one["mountPath"] == directory]
    assert not mount.get("readOnly")
    (volume,) = [one for one in pod()["volumes"] if one["name"] == mount["name"]]
    assert volume["emptyDir"].keys() == {"sizeLimit"}, "on disk, and not shared by the replicas"
    room = nanos(volume["emptyDir"]["sizeLimit"]) // 10**9
    assert room >= FILES * FILE_BYTES + 64 * 2**20
    assert directory in (ROOT / "docs" / "ledger.md").read_text()


def test_two_replicas_run_apart_and_at_most_one_is_away() -> None:
    deployment, budget = one("Deployment", "federation-hub"), one("PodDisruptionBudget", "federation-hub")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert budget["spec"]["maxUnavailable"] == 1
    apart = pod()["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    network = one("NetworkPolicy", "federation-hub")["spec"]["podSelector"]["matchLabels"]
    for chosen in (deployment["spec"]["selector"]["matchLabels"], budget["spec"]["selector"]["matchLabels"], network):
        assert chosen.items() <= labels.items()
    assert apart["labelSelector"]["matchLabels"].items() <= labels.items()


def test_the_container_may_do_nothing_on_its_node_and_nothing_in_its_cluster() -> None:
    (container,) = pod()["containers"]
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert pod()["automountServiceAccountToken"] is False
    assert of_kind("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", folder=DEPLOY / "host") == []
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_traffic_is_named_both_ways() -> None:
    spec = one("NetworkPolicy", "federation-hub")["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert all(entry.get("from") for entry in spec["ingress"])
    assert all(entry.get("ports") for entry in [*spec["ingress"], *spec["egress"]])
    outside = [block["ipBlock"] for entry in spec["egress"] for block in entry.get("to", ())]
    assert all(any(text.startswith(("169.254.", "fe80:")) for text in block["except"]) for block in outside)


def containerfile() -> list[list[str]]:
    lines = (ROOT / "Containerfile").read_text().splitlines()
    return [shlex.split(line) for line in lines if line and not line.startswith("#")]


def test_the_containerfile_copies_what_exists_and_starts_what_the_project_installs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    copied = [
        part for words in containerfile() if words[0] == "COPY" and "--from=build" not in words for part in words[1:-1]
    ]
    assert all((ROOT / path).exists() for path in copied)
    assert {project["readme"], *project["license-files"], "pyproject.toml", "federation"} <= set(copied)
    (start,) = [line for line in (ROOT / "Containerfile").read_text().splitlines() if line.startswith("ENTRYPOINT")]
    assert Path(yaml.safe_load(start.removeprefix("ENTRYPOINT "))[0]).name in project["scripts"]
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    assert {f"!{path}" for path in copied} <= set(ignored), "what is copied must reach the build"


def test_the_image_runs_as_the_user_of_the_deployment_and_never_as_root() -> None:
    (user,) = [words[1] for words in containerfile() if words[0] == "USER"]
    context = pod()["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert context["runAsUser"] > 0


def test_the_version_of_the_image_is_the_project_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (image,) = yaml.safe_load((DEPLOY / "host" / "kustomization.yaml").read_text())["images"]
    assert image == {"name": pod()["containers"][0]["image"], "newTag": project["version"]}
