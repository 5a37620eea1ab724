"""What `fedctl explain` says of a policy that does not act yet."""

import orjson

from federation.cli.explain import tell
from federation.cli.picture import Picture
from federation.kube.resource import CONFIG_MAPS
from federation.policy.lazy import fingerprint
from tests.e2e.manifests import API, Manifest, config_map, on, policy, selector

TEMPLATE = config_map("app", "shop")
TEMPLATE["metadata"]["uid"] = "t"


def made(**spec: object) -> Manifest:
    found = policy("p", "shop", selector("ConfigMap", "app", api="v1"), placement=on("m2"), **spec)
    found["metadata"] |= {"uid": "p", "generation": 2}
    return found


def picture(chosen: Manifest, *overrides: tuple[str, str], **reference: object) -> Picture:
    inputs = orjson.dumps({
        "placement": on("m1"), "replicas": None, "requirements": None, "template": "t",
    }).decode()  # fmt: skip
    decision = {"epoch": 1, "trigger": "Created", "inputs": inputs, "targets": {"m1": 0}}
    binding = {
        "apiVersion": API, "kind": "ResourceBinding", "metadata": {"name": "b", "namespace": "shop", "uid": "b"},
        "spec": {
            "resource": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "app", "uid": "t"},
            "policy": {"kind": "PropagationPolicy", "namespace": "shop", "name": "p", "uid": "p", **reference},
        },
        "status": {"decision": decision},
    }  # fmt: skip
    clusters = [
        {"apiVersion": API, "kind": "Cluster", "metadata": {"name": name}, "spec": {}, "status": {"apis": ["v1: ConfigMap"]}}
        for name in ("m1", "m2")
    ]  # fmt: skip
    return Picture(
        resource=CONFIG_MAPS, template=TEMPLATE, binding=binding, policies=[chosen], overrides=frozenset(overrides),
        clusters=clusters, peers=[],
    )  # fmt: skip


def text(found: Picture) -> str:
    return "\n".join(tell(found)["lines"])


def test_an_edit_of_a_lazy_policy_that_waits_is_said_and_no_decision_is_due() -> None:
    waiting = {"generation": 1, "templateHash": fingerprint(TEMPLATE)}
    said = text(picture(made(activationPreference="Lazy"), **waiting))
    assert "but it does not act yet: generation 2 acts when it changes" in said
    assert "a new decision is due" not in said
    assert "a new decision is due: PlacementChanged" in text(picture(made(activationPreference="Lazy"), generation=2))


def test_missing_overrides_are_named() -> None:
    depends = made(dependentOverrides=["one"])
    assert "but it does not act yet: there is no OverridePolicy one" in text(picture(depends, ("bank", "one")))
    assert "does not act yet" not in text(picture(depends, ("shop", "one")))
