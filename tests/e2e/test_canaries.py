"""Secrets never show in text (I16): canaries in Secrets, tokens and kubeconfigs, trouble of every kind, and then a search."""

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab import Cluster, Lab, Process, eventually
from tests.e2e.manifests import on, override, policy, selector

VALUE = "canary-value-6f1d0c"
TOKEN = "canary-token-9a2b7e"
PROXY = "canary-proxy-3c4d5e"
CANARIES = (VALUE, TOKEN, PROXY)
OUR_KINDS = ("clusters.federation.dev", "clustercapacities", "pp", "cpp", "op", "cop", "rb", "crb", "rebalances")


def forms(text: str) -> set[str]:
    """The text, and what base64 makes of it wherever it stands in a longer one."""
    found = {text}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + text.encode()).decode().rstrip("=")
        found.add(encoded[(shift * 8 + 5) // 6 + (1 if shift else 0) : -2])
    return found


def leaks(texts: dict[str, str]) -> list[str]:
    """Where a canary shows: source and canary."""
    return [
        f"{source}: {canary}" for source, text in texts.items() for canary in CANARIES if any(form in text for form in forms(canary))
    ]  # fmt: skip


def secret(name: str, place: str, **data: str) -> dict:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": place}, "data": encoded}


def without_spec(one: dict) -> str:
    """Metadata and status; without what `kubectl apply` notes of what the user wrote."""
    metadata = dict(one["metadata"])
    annotations = dict(metadata.pop("annotations", {}))
    annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    return json.dumps([metadata, annotations, one.get("status")])


def everything_that_speaks(lab: Lab, place: str) -> dict[str, str]:
    """All that the process writes for somebody to read, by where it is."""
    texts = {"log": lab.process.log.read_text()}
    with urllib.request.urlopen(f"http://127.0.0.1:{lab.process.port}/metrics") as answer:
        texts["metrics"] = answer.read().decode()
    texts["events"] = json.dumps(lab.hub.every("events"))
    for kind in OUR_KINDS:
        for one in lab.hub.every(kind):
            texts[f"{kind} {one['metadata']['name']}"] = without_spec(one)
    for one in lab.hub.every("secrets", place):
        texts[f"template {one['metadata']['name']}"] = without_spec(one)
    for kind in ("configmaps", "leases"):
        texts[f"{kind} of federation-system"] = json.dumps(lab.hub.every(kind, "federation-system"))
    for member in lab.members.values():
        copies = [
            one
            for one in member.every("secrets", place)
            if "federation.dev/mark" in (one["metadata"].get("annotations") or {})
        ]
        texts[f"marks in {member.name}"] = json.dumps(
            [[one["metadata"]["annotations"], one["metadata"]["labels"]] for one in copies]
        )
    texts["fedctl get"] = lab.fedctl("get", "bindings", "-A", "-o", "json") + lab.fedctl(
        "get", "clusters", "-o", "json"
    )
    return texts


@pytest.fixture
def quoting(lab: Lab) -> Iterator[Cluster]:
    """member1, with an admission policy that refuses one Secret and quotes it."""
    member = lab.member(1)
    quote = "'no: ' + string(object.data.password)"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]}
    admission = {"apiVersion": "admissionregistration.k8s.io/v1"}
    member.apply(
        {
            **admission, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "quoting"},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "matchConditions": [{"name": "one", "expression": "object.metadata.name == 'refused'"}],
                "validations": [{"expression": "false", "messageExpression": quote}],
            },
        },
        {
            **admission, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "quoting"},
            "spec": {"policyName": "quoting", "validationActions": ["Deny"]},
        },
    )  # fmt: skip
    yield member
    member.run("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "quoting")


def test_the_search_finds_what_is_there() -> None:
    for prefix in ("", "a", "ab", "abc"):
        encoded = base64.b64encode(f"{prefix}{VALUE}, and more".encode()).decode()
        assert leaks({"x": f"... {encoded} ..."}) == [f"x: {VALUE}"]
    assert leaks({"x": f"Bearer {TOKEN}"}) == [f"x: {TOKEN}"]
    assert leaks({"x": "nothing of the kind"}) == []


def test_no_value_of_a_secret_shows_whatever_goes_wrong_with_it(lab: Lab, place: str, quoting: Cluster) -> None:
    lab.process.restart("--log-level=debug")
    try:
        refused = secret("refused", place, password=VALUE)
        proof = json.dumps({**refused, "metadata": {"name": "refused", "namespace": "default"}})
        # The member does quote it.
        eventually(lambda: leaks({"": quoting.run("create", "-f", "-", stdin=proof, fails=True)}))
        lab.hub.apply(policy("all", place, selector("Secret", api="v1"), placement=on("member1", "member2")))
        names = ("placed", "refused", "contested", "patched", "document")
        lab.hub.apply(*(secret(name, place, password=VALUE, config=json.dumps({"password": VALUE})) for name in names))
        changes = {
            "patched": {"plaintext": [{"path": "/data/password", "operator": "replace", "value": f"{VALUE} is no base64!"}]},
            "document": {"fieldOverrider": [{"fieldPath": "/data/config", "json": [{"subPath": "/password", "operator": "remove"}]}]},
        }  # fmt: skip
        for name, overriders in changes.items():
            lab.hub.apply(
                override(name, place, {"overriders": overriders}, selectors=[selector("Secret", name, api="v1")])
            )

        def reason(name: str) -> str:
            return lab.hub.members("Secret", name, place, "").get("member1", {}).get("reason", "")

        eventually(lambda: lab.hub.settled("Secret", "placed", place, group=""))
        eventually(lambda: reason("refused") in ("Forbidden", "Invalid"))
        eventually(lambda: reason("patched") in ("Invalid", "OverrideFailed"))
        eventually(lambda: reason("document") == "OverrideFailed")
        eventually(lambda: lab.member(1).get("secret", "contested", place))
        other = base64.b64encode(f"{VALUE} of somebody else".encode()).decode()

        def fought() -> bool:
            lab.member(1).patch("secret", "contested", place, {"data": {"password": other}})
            return reason("contested") == "Contested"

        eventually(fought)
        said = lab.hub.condition("Secret", "refused", place, "FullyApplied", group="")["message"]
        assert "member1" in said
        assert "not shown" in said
        texts = everything_that_speaks(lab, place)
        texts["explain"] = lab.fedctl("explain", "secret/refused", "-n", place) + lab.fedctl(
            "explain", "secret/contested", "-n", place
        )
        assert leaks(texts) == []
        assert len(texts["log"]) > 0
    finally:
        lab.hub.run("delete", "op", "--all", "-n", place)
        lab.process.restart()


def cluster_secret(lab: Lab, token: bytes) -> None:
    data = {"token": base64.b64encode(token).decode()}
    lab.hub.patch("secret", "cluster-member4", "federation-system", {"data": data})


UNSOUND = "key token of Secret cluster-member4 is no bearer token"


def conditions(lab: Lab) -> dict:
    """member4's conditions by type."""
    found = (lab.hub.get("cluster", "member4") or {}).get("status", {}).get("conditions", [])
    return {one["type"]: one for one in found}


def test_no_token_shows_whatever_is_wrong_with_it_and_the_process_goes_on(lab: Lab, place: str) -> None:
    lab.process.restart("--log-level=debug")
    lab.join(4)
    good = base64.b64decode((lab.hub.get("secret", "cluster-member4", "federation-system") or {})["data"]["token"])
    try:
        cluster_secret(lab, TOKEN.encode())
        eventually(lambda: conditions(lab)["Credentials"]["status"] == "False")
        cluster_secret(lab, good + b"\n")
        eventually(lambda: all(one["status"] == "True" for one in conditions(lab).values()), within=60)
        for wrong in (f"{TOKEN}\r\nX-Evil: {TOKEN}".encode(), TOKEN.encode() + b"\xff\xfe", f"{TOKEN}\0".encode()):
            told = lab.process.log.read_text().count(UNSOUND)
            cluster_secret(lab, wrong)
            eventually(lambda before=told: lab.process.log.read_text().count(UNSOUND) > before)
            assert conditions(lab)["Ready"]["status"] == "True", "it goes on with the token that it has"
        lab.process.restart("--log-level=debug")
        eventually(lambda: UNSOUND in conditions(lab)["Joined"]["message"])
        cluster_secret(lab, good)
        eventually(lambda: all(one["status"] == "True" for one in conditions(lab).values()), within=60)
        lab.hub.patch("cluster", "member4", None, {"spec": {"proxyURL": f"http://user:{PROXY}@127.0.0.1:1"}})
        eventually(lambda: conditions(lab)["Ready"]["status"] == "False")
        texts = everything_that_speaks(lab, place)
        spec = texts.pop("clusters.federation.dev member4")
        assert leaks(texts) == []
        status = json.dumps((lab.hub.get("cluster", "member4") or {})["status"])
        assert leaks({"status": status}) == [], spec
    finally:
        lab.hub.patch("cluster", "member4", None, {"spec": {"proxyURL": None}})
        cluster_secret(lab, good)
        lab.fedctl("leave", "member4")
        lab.process.restart()


def kubeconfig(lab: Lab, **user: str) -> str:
    config = json.loads(lab.member(4).kubeconfig.read_text())
    config["users"][0]["user"] = user
    return json.dumps(config)


def test_no_kubeconfig_shows_in_what_the_programs_say_of_it(lab: Lab, tmp_path: Path) -> None:
    encoded = base64.b64encode(TOKEN.encode()).decode()
    broken = {
        "no YAML": f"users: [{{name: u, user: {{token: {TOKEN}",
        "no mapping": TOKEN,
        "a refused token": kubeconfig(lab, token=TOKEN),
        "a token with a line break": kubeconfig(lab, token=f"{TOKEN}\nX: {TOKEN}"),
        "a key that is no key": kubeconfig(lab, **{"client-certificate-data": encoded, "client-key-data": encoded}),
        "no base64": kubeconfig(lab, **{"client-certificate-data": f"{TOKEN}!", "client-key-data": f"{TOKEN}!"}),
        "a password": kubeconfig(lab, username="u", password=TOKEN),
    }  # fmt: skip
    for what, text in broken.items():
        file = tmp_path / "config"
        file.write_text(text)
        said = lab.fedctl("join", "broken", "--kubeconfig", str(file), fails=True)
        assert leaks({what: said}) == []
        assert "Traceback" not in said, what
        command = [
            str(Path(sys.executable).parent / "federation"),
            "hub",
            "--port=0",
            "--log-level=debug",
            "--kubeconfig",
            str(file),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0
        assert leaks({what: done.stdout + done.stderr}) == []
        assert "Traceback" not in done.stderr, what
    assert lab.hub.get("cluster", "broken") is None


def test_no_secret_shows_in_the_stacks_that_a_signal_prints(lab: Lab, place: str, tmp_path: Path) -> None:
    lab.hub.apply(
        policy("all", place, selector("Secret", api="v1"), placement=on("member2")), secret("s", place, password=VALUE)
    )
    eventually(lambda: lab.hub.settled("Secret", "s", place, group=""))
    beside = Process(lab.hub, tmp_path)
    beside.prepare()
    beside.start("--roles=execute")
    try:
        os.kill(beside.pid, signal.SIGUSR1)
        eventually(lambda: "Current thread" in beside.log.read_text())
        assert leaks({"log": beside.log.read_text()}) == []
    finally:
        beside.stop()
