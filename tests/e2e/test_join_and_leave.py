"""Members come and go: rights, tokens, refusals, health, and what happens to their copies."""

import base64
import datetime as dt
import json
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.e2e.lab import Lab, always, eventually
from tests.e2e.manifests import API, config_map, on, policy, selector, widget, widget_definition


def condition(lab: Lab, name: str, kind: str) -> dict:
    status = (lab.hub.get("cluster", name) or {}).get("status") or {}
    return next((one for one in status.get("conditions") or [] if one["type"] == kind), {})


def everywhere(lab: Lab, place: str, name: str = "app") -> None:
    lab.hub.apply(policy(name, place, selector("ConfigMap", name, api="v1"), placement={}), config_map(name, place))
    eventually(lambda: lab.hub.settled("ConfigMap", name, place, group=""))


@pytest.fixture
def fourth(lab: Lab):
    """member4, joined for one test and gone afterwards."""
    text = lab.join(4, "--region", "ap")
    yield text
    if lab.clusters.cluster("member4").status()["ready"] is False:
        lab.clusters.start("member4")
    if lab.hub.get("cluster", "member4") is not None:
        lab.fedctl("leave", "member4")


def test_join_prints_the_rights_before_it_makes_them_and_stores_no_admin_credentials(lab: Lab, fourth: str) -> None:
    printed = fourth.index(
        "apps: daemonsets, deployments, replicasets, statefulsets [get list watch create patch delete]"
    )
    assert printed < fourth.index("member4 is created")
    role = lab.member(4).get("clusterrole", "federation-hub")
    verbs = {verb for rule in role["rules"] for verb in rule["verbs"]}
    resources = {name for rule in role["rules"] for name in rule["resources"] if "create" in rule["verbs"]}
    assert "*" not in verbs | resources
    assert not {"escalate", "impersonate", "bind"} & verbs
    assert not {"clusterroles", "roles", "rolebindings", "clusterrolebindings"} & resources
    secret = lab.hub.get("secret", "cluster-member4", "federation-system")
    assert set(secret["data"]) == {"token", "ca.crt"}
    claims = json.loads(
        base64.urlsafe_b64decode(base64.b64decode(secret["data"]["token"]).decode().split(".")[1] + "==")
    )
    assert claims["kubernetes.io"]["serviceaccount"]["name"] == "federation-hub"
    status = eventually(
        lambda: (
            (lab.hub.get("cluster", "member4")["status"]).get("resourceSummary")
            and lab.hub.get("cluster", "member4")["status"]
        )
    )
    assert status["kubernetesVersion"].startswith("v1.")
    assert status["nodeSummary"] == {"totalNum": 3, "readyNum": 3}
    assert status["resourceSummary"]["allocatable"]["cpu"] == "96"
    assert any(line.startswith("apps/v1: ") and "Deployment" in line for line in status["apis"])


def test_a_fourth_member_gets_every_duplicated_object_and_gives_it_back(lab: Lab, place: str) -> None:
    everywhere(lab, place)
    lab.join(4)
    try:
        eventually(lambda: lab.member(4).get("configmap", "app", place))
        assert lab.hub.status("ConfigMap", "app", place, "")["decision"]["trigger"] == "ClusterEligible"
    finally:
        said = lab.fedctl("leave", "member4")
    assert "member4 has left" in said
    assert lab.member(4).get("configmap", "app", place) is None
    eventually(lambda: lab.member(4).get("clusterrole", "federation-hub") is None, within=60)  # our rights go too
    assert lab.hub.get("secret", "cluster-member4", "federation-system") is None
    eventually(lambda: "member4" not in lab.hub.targets("ConfigMap", "app", place, ""))
    eventually(lambda: lab.hub.settled("ConfigMap", "app", place, group=""))


def test_leave_with_keep_leaves_the_copies_unmarked(lab: Lab, place: str) -> None:
    everywhere(lab, place)
    lab.join(4)
    eventually(lambda: lab.member(4).get("configmap", "app", place))
    lab.fedctl("leave", "member4", "--keep")
    kept = lab.member(4).get("configmap", "app", place)
    assert kept is not None
    assert "federation.dev" not in json.dumps([kept["metadata"].get("labels"), kept["metadata"].get("annotations")])


def test_a_cluster_object_that_is_deleted_leaves_as_by_the_command(lab: Lab, place: str) -> None:
    everywhere(lab, place)
    lab.join(4)
    eventually(lambda: lab.member(4).get("configmap", "app", place))
    lab.hub.delete("cluster", "member4")
    assert lab.member(4).get("configmap", "app", place) is None


def test_a_dead_member_goes_by_force_with_an_inventory_and_is_unreachable_before(lab: Lab, place: str) -> None:
    everywhere(lab, place)
    lab.join(4)
    eventually(lambda: lab.member(4).get("configmap", "app", place))
    lab.clusters.stop("member4")
    try:
        eventually(lambda: condition(lab, "member4", "Ready").get("reason") == "ClusterNotReachable")
        taints = [one["key"] for one in lab.hub.get("cluster", "member4")["status"]["taints"]]
        assert taints == ["federation.dev/unreachable"]
        line = lab.hub.members("ConfigMap", "app", place, "")["member4"]
        assert line.get("health") == "Healthy", "last known facts stay"
        said = lab.fedctl("leave", "member4", "--force")
        assert f"ConfigMap {place}/app" in said
        events = [one for one in lab.hub.every("events", "default") if one["reason"] == "CopiesLeftBehind"]
        assert any(f"{place}/app" in one["message"] for one in events)
        eventually(lambda: set(lab.hub.members("ConfigMap", "app", place, "")) == {"member1", "member2", "member3"})
    finally:
        lab.clusters.start("member4")
        lab.member(4).run("delete", "namespace", place, "federation-system", "--ignore-not-found", "--wait=false")
        lab.member(4).run("delete", "clusterrole,clusterrolebinding", "federation-hub", "--ignore-not-found")


def test_a_member_that_comes_back_is_ready_again_and_gets_what_it_missed(lab: Lab, place: str, fourth: str) -> None:
    everywhere(lab, place)
    eventually(lambda: lab.member(4).get("configmap", "app", place))
    lab.clusters.stop("member4")
    eventually(lambda: condition(lab, "member4", "Ready").get("status") == "False")
    lab.hub.apply(config_map("app", place, key="changed"))
    eventually(lambda: lab.member(1).get("configmap", "app", place)["data"] == {"key": "changed"})
    lab.clusters.start("member4")
    eventually(lambda: lab.member(4).get("configmap", "app", place)["data"] == {"key": "changed"}, within=60)
    eventually(lambda: condition(lab, "member4", "Ready").get("status") == "True")


def test_a_name_or_a_cluster_that_is_taken_and_the_hub_itself_are_refused(lab: Lab) -> None:
    other = str(lab.member(4).kubeconfig)
    assert "the name 'member1' is taken" in lab.fedctl("join", "member1", "--kubeconfig", other, fails=True)
    same = lab.fedctl("join", "member1", "--kubeconfig", str(lab.member(1).kubeconfig), fails=True)
    assert "'member1' has joined already" in same
    assert "--renew" in same
    again = lab.fedctl("join", "another", "--kubeconfig", str(lab.member(1).kubeconfig), fails=True)
    assert "joined already as 'member1'" in again
    assert "this is the hub itself" in lab.fedctl("join", "self", "--kubeconfig", str(lab.hub.kubeconfig), fails=True)
    assert lab.hub.get("cluster", "another") is None
    assert lab.hub.get("cluster", "self") is None


def test_a_kubeconfig_that_points_nowhere_is_named(lab: Lab, tmp_path) -> None:
    assert "does not exist" in lab.fedctl("join", "x", "--kubeconfig", "/nowhere/file", fails=True)
    broken = tmp_path / "config"
    config = json.loads(lab.member(4).kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    broken.write_text(json.dumps(config))
    said = lab.fedctl("join", "x", "--kubeconfig", str(broken), fails=True)
    assert "127.0.0.1:1" in said
    assert "contexts has no entry 'absent'" in lab.fedctl(
        "join", "x", "--kubeconfig", str(broken), "--context", "absent", fails=True
    )


def test_a_kind_that_may_not_be_written_becomes_a_condition_with_the_command_that_mends_it(
    lab: Lab, place: str, group: str
) -> None:
    for cluster in (lab.hub, lab.member(1)):
        cluster.define(widget_definition(group))
    lab.hub.apply(
        policy("w", place, selector("Widget", api=f"{group}/v1"), placement=on("member1")), widget(group, place)
    )
    said = eventually(lambda: _forbidden(lab, place, group))
    assert f"widgets.{group}" in said["message"]
    assert f"fedctl allow member1 widgets.{group}" in said["message"]
    lab.fedctl("allow", "member1", f"widgets.{group}", "--kubeconfig", str(lab.member(1).kubeconfig))
    eventually(lambda: lab.member(1).get(f"widgets.{group}", "w", place), within=60)
    eventually(lambda: lab.hub.settled("Widget", "w", place, group=group))


def _forbidden(lab: Lab, place: str, group: str) -> dict | None:
    found = lab.hub.condition("Widget", "w", place, "FullyApplied", group=group)
    return found if found.get("reason") == "Forbidden" else None


def test_a_template_goes_although_its_kind_may_not_be_read_in_a_member(lab: Lab, place: str, group: str) -> None:
    for cluster in (lab.hub, lab.member(1)):
        cluster.define(widget_definition(group))
    lab.hub.apply(
        policy("w", place, selector("Widget", api=f"{group}/v1"), placement=on("member1")), widget(group, place)
    )
    eventually(lambda: _forbidden(lab, place, group))
    lab.hub.delete(f"widgets.{group}", "w", place)
    # The hub's garbage collector learns of a new kind only after half a minute; we do not wait for it.
    eventually(lambda: lab.hub.binding("Widget", "w", place, group) is None, within=15)


def test_a_custom_resource_follows_as_soon_as_its_crd_is_in_the_member(lab: Lab, place: str, group: str) -> None:
    for cluster in (lab.hub, lab.member(1)):
        cluster.define(widget_definition(group))
    lab.fedctl("allow", "member1", f"widgets.{group}", "--kubeconfig", str(lab.member(1).kubeconfig))
    chosen = policy("w", place, selector("Widget", api=f"{group}/v1"), placement=on("member1", "member2"))
    lab.hub.apply(chosen, widget(group, place))
    eventually(lambda: lab.member(1).get(f"widgets.{group}", "w", place))
    assert set(lab.hub.targets("Widget", "w", place, group)) == {"member1"}
    lab.member(2).define(widget_definition(group))
    lab.fedctl("allow", "member2", f"widgets.{group}", "--kubeconfig", str(lab.member(2).kubeconfig))
    eventually(lambda: lab.member(2).get(f"widgets.{group}", "w", place), within=60)


def test_kubectl_apply_of_a_cluster_joins_it_too_and_a_missing_secret_is_named(lab: Lab) -> None:
    spec = {"syncMode": "Push", "apiEndpoint": json.loads(lab.member(4).kubeconfig.read_text())["clusters"][0]["cluster"]["server"],
            "secretRef": {"namespace": "federation-system", "name": "by-hand"}}  # fmt: skip
    lab.hub.apply({"apiVersion": API, "kind": "Cluster", "metadata": {"name": "byhand"}, "spec": spec})
    try:
        said = eventually(lambda: condition(lab, "byhand", "Joined"))
        assert said["status"] == "False"
        assert "Secret federation-system/by-hand does not exist" in said["message"]
        lab.member(4).run("create", "serviceaccount", "robot", "-n", "default")
        lab.member(4).run(
            "create", "clusterrolebinding", "robot", "--clusterrole=cluster-admin", "--serviceaccount=default:robot"
        )
        token = lab.member(4).run("create", "token", "robot", "--duration=1h").strip()
        ca = (lab.member(4).kubeconfig.parent / "pki" / "ca.crt").read_text()
        lab.hub.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "by-hand", "namespace": "federation-system"},
                "stringData": {"token": token, "ca.crt": ca},
            }
        )
        eventually(lambda: condition(lab, "byhand", "Joined").get("status") == "True")
        eventually(lambda: condition(lab, "byhand", "Ready").get("status") == "True")
    finally:
        lab.hub.delete("cluster", "byhand")
        lab.hub.run("delete", "secret", "by-hand", "-n", "federation-system", "--ignore-not-found")
        lab.member(4).run("delete", "clusterrolebinding", "robot", "--ignore-not-found")
        lab.member(4).run("delete", "serviceaccount", "robot", "-n", "default", "--ignore-not-found")


def test_a_bad_cluster_manifest_is_refused_at_admission(lab: Lab) -> None:
    spec = {"syncMode": "Push"}
    assert "needs apiEndpoint and secretRef" in lab.hub.refuses(
        {"apiVersion": API, "kind": "Cluster", "metadata": {"name": "x"}, "spec": spec}
    )
    assert "spec.syncMode" in lab.hub.refuses(
        {"apiVersion": API, "kind": "Cluster", "metadata": {"name": "x"}, "spec": {"syncMode": "Maybe"}}
    )
    elsewhere = {"namespace": "default", "name": "token"}
    spec = {"syncMode": "Push", "apiEndpoint": "https://m.test", "secretRef": elsewhere}
    assert "secretRef.namespace must be federation-system" in lab.hub.refuses(
        {"apiVersion": API, "kind": "Cluster", "metadata": {"name": "x"}, "spec": spec}
    )
    assert "syncMode Pull is not served yet" in lab.hub.refuses(
        {"apiVersion": API, "kind": "Cluster", "metadata": {"name": "x"}, "spec": {"syncMode": "Pull"}}
    )


def token_of(lab: Lab, name: str) -> str:
    secret = lab.hub.get("secret", f"cluster-{name}", "federation-system")
    return base64.b64decode(secret["data"]["token"]).decode()


def test_a_token_is_renewed_before_it_ends(lab: Lab, place: str) -> None:
    before = token_of(lab, "member1")
    lab.process.restart("--token-renew-fraction=0.00005")  # of a day: after four seconds
    try:
        eventually(lambda: token_of(lab, "member1") != before, within=20)
        assert condition(lab, "member1", "Credentials")["status"] == "True"
        everywhere(lab, place)
    finally:
        lab.process.restart()


def test_a_token_that_ran_out_is_told_and_mended_by_the_command_that_is_named(
    lab: Lab, place: str, fourth: str
) -> None:
    everywhere(lab, place)
    expired = _expired(lab, token_of(lab, "member4"))
    lab.hub.patch(
        "secret",
        "cluster-member4",
        "federation-system",
        {"data": {"token": base64.b64encode(expired.encode()).decode()}},
    )
    said = eventually(lambda: _unauthorized(lab))
    assert "fedctl join member4 --renew" in said["message"]
    assert "the token ended at" in said["message"]
    lab.fedctl("join", "member4", "--renew", "--kubeconfig", str(lab.member(4).kubeconfig))
    eventually(lambda: condition(lab, "member4", "Credentials").get("status") == "True")
    eventually(lambda: condition(lab, "member4", "Ready").get("status") == "True")
    always(lambda: lab.member(4).get("configmap", "app", place) is not None, seconds=0.5)


def _unauthorized(lab: Lab) -> dict | None:
    found = condition(lab, "member4", "Credentials")
    return found if found.get("reason") == "Unauthorized" else None


def _expired(lab: Lab, token: str) -> str:
    """The same token with an end in the past, signed with the member's own key: what a token is after its life."""
    header, payload, _ = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    ended = dt.datetime.now(dt.UTC).timestamp() - 600
    claims.update(exp=int(ended), iat=int(ended - 3600), nbf=int(ended - 3600))
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    key = serialization.load_pem_private_key((lab.member(4).kubeconfig.parent / "pki" / "sa.key").read_bytes(), None)
    content = f"{header}.{body}".encode()
    if isinstance(key, rsa.RSAPrivateKey):
        signed = key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        r, s = decode_dss_signature(key.sign(content, ec.ECDSA(hashes.SHA256())))
        signed = r.to_bytes(32) + s.to_bytes(32)
    return f"{header}.{body}.{base64.urlsafe_b64encode(signed).decode().rstrip('=')}"


def test_a_member_that_is_away_for_less_than_the_threshold_stays_ready(lab: Lab, fourth: str) -> None:
    cluster = lab.clusters.cluster("member4")
    cluster.freeze()
    try:
        time.sleep(1.2)
        assert condition(lab, "member4", "Ready")["status"] == "True"
    finally:
        cluster.thaw()
    always(lambda: condition(lab, "member4", "Ready")["status"] == "True", seconds=2)
