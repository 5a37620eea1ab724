"""Every review: what is refused with its field, what is warned of, what passes without a word."""

from dataclasses import replace
from typing import Any

import pytest

from federation.admission.review import KnownCluster, Request, Snapshot, Verdict
from federation.admission.reviews import review
from federation.api.meta import GROUP
from federation.hub.policies import judge
from federation.policy.facts import ClusterFacts
from tests.e2e.manifests import aggregated, deployment, on, override, policy, selector, weights

Manifest = dict[str, Any]
PLACE = "shop"
CLUSTERS = tuple(
    KnownCluster(
        facts=ClusterFacts(name=f"member{number}", labels={"tier": "gold"}, region="eu"), ids=frozenset({f"uid-{number}"}),
        endpoint=f"https://m{number}.test:6443", secret=f"cluster-member{number}",
    )
    for number in (1, 2, 3)
)  # fmt: skip
KINDS = {
    ("apps/v1", "Deployment"): True, ("apps/v1", "StatefulSet"): True, ("v1", "ConfigMap"): True, ("batch/v1", "Job"): True,
    ("v1", "Event"): True, ("rbac.authorization.k8s.io/v1", "ClusterRole"): False, ("rbac.authorization.k8s.io/v1", "Role"): True,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): False,
}  # fmt: skip
HUB = Snapshot(
    hub_id="uid-hub", clusters=CLUSTERS, namespaced=KINDS, unlisted=frozenset({"lost.test/v1"}),
    secrets=frozenset({f"cluster-member{number}" for number in (1, 2, 3, 4)}),
)  # fmt: skip
PLURALS = {
    "PropagationPolicy": "propagationpolicies", "ClusterPropagationPolicy": "clusterpropagationpolicies",
    "OverridePolicy": "overridepolicies", "ClusterOverridePolicy": "clusteroverridepolicies", "Cluster": "clusters",
    "ResourceBinding": "resourcebindings", "StatefulSet": "statefulsets", "Job": "jobs", "Deployment": "deployments",
}  # fmt: skip


def reviewed(
    manifest: Manifest, old: Manifest | None = None, *, hub: Snapshot = HUB, operation: str = "", subresource: str = ""
) -> Verdict:
    group = manifest["apiVersion"].rpartition("/")[0]
    plural = PLURALS[manifest["kind"]]
    request = Request(
        uid="1", group=group, resource=f"{plural}/{subresource}" if subresource else plural,
        operation=operation or ("UPDATE" if old else "CREATE"), object=manifest, old=old,
        namespace=manifest["metadata"].get("namespace", ""),
    )  # fmt: skip
    return review(request, hub)


def pp(*selectors: Manifest, placement: Manifest | None = None, **spec: Any) -> Manifest:
    return policy("p", PLACE, *(selectors or (selector(name="web"),)), placement=placement, **spec)


def cpp(*selectors: Manifest, placement: Manifest | None = None, **spec: Any) -> Manifest:
    return policy("p", None, *(selectors or (selector(name="web"),)), placement=placement, **spec)


def op(
    *overriders: Manifest, selectors: list[Manifest] | None = None, place: str | None = PLACE, **rule: Any
) -> Manifest:
    return override("o", place, *({"overriders": one, **rule} for one in overriders), selectors=selectors)


def plaintext(path: str, value: Any = 1, operator: str = "replace") -> Manifest:
    return {"plaintext": [{"path": path, "operator": operator, "value": value}]}


def cluster(name: str = "member4", **spec: Any) -> Manifest:
    usual = {
        "syncMode": "Push", "id": "uid-4", "apiEndpoint": "https://m4.test:6443",
        "secretRef": {"namespace": "federation-system", "name": "cluster-member4"},
    }  # fmt: skip
    return {"apiVersion": f"{GROUP}/v1alpha1", "kind": "Cluster", "metadata": {"name": name}, "spec": {**usual, **spec}}


def group_of(name: str, **affinity: Any) -> Manifest:
    return {"affinityName": name, **affinity}


def elsewhere(chosen: Manifest) -> Manifest:
    return {**chosen, "namespace": "theirs"}


def role(name: str = "r") -> Manifest:
    return selector("Role", name, api="rbac.authorization.k8s.io/v1")


REFUSED: dict[str, tuple[Manifest, str]] = {
    "a policy of a namespace that selects in another one": (pp(elsewhere(selector())), "spec.resourceSelectors[0].namespace"),
    "a label selector that Kubernetes would not parse": (
        pp(selector(labels={"-bad-": "x"})), "spec.resourceSelectors[0].labelSelector",
    ),
    "two groups of clusters of one name": (
        pp(placement={"clusterAffinities": [group_of("a"), group_of("a")]}), "spec.placement.clusterAffinities[1].affinityName",
    ),
    "overflow without anything that says what fits": (
        pp(placement={"clusterAffinities": [group_of("a", clusterNames=["member1"], overflowAffinities=[group_of("b")])]}),
        "overflowAffinities",
    ),
    "a field selector with Exists": (
        pp(placement={"clusterAffinity": {"fieldSelector": {"matchExpressions": [{"key": "region", "operator": "Exists"}]}}}),
        "fieldSelector.matchExpressions[0].operator",
    ),
    "a region constraint without one on clusters": (
        pp(placement={"spreadConstraints": [{"spreadByField": "region"}]}), "spreadByField: cluster",
    ),
    "the same field constrained twice": (
        pp(placement={"spreadConstraints": [{"spreadByField": "cluster"}, {"spreadByField": "cluster"}]}), "more than once",
    ),
    "workloads together and apart by one label": (
        pp(placement={"workloadAffinity": {"affinity": {"groupByLabelKey": "a"}, "antiAffinity": {"groupByLabelKey": "a"}}}),
        "spec.placement.workloadAffinity",
    ),
    "preemption without names": (pp(selector(), preemption="Always"), "spec.resourceSelectors[0].name"),
    "grace without a graceful purge": (
        pp(propagateDeps=True, failover={"application": {"purgeMode": "Directly", "gracePeriodSeconds": 5}}),
        "spec.failover.application.gracePeriodSeconds",
    ),
    "failover of an application without what it refers to": (
        pp(failover={"application": {"purgeMode": "Directly"}}), "spec.propagateDeps",
    ),
    "a spec that does not parse": (cpp(priority="high"), "spec.priority"),
    "an override that changes the name": (op(plaintext("/metadata/name")), "spec.overrideRules[0].overriders.plaintext[0].path"),
    "an override of our own labels": (
        op({"labelsOverrider": [{"operator": "add", "value": {f"{GROUP}/x": "1"}}]}), "labelsOverrider[0].value",
    ),
    "an override without the value it needs": (
        op({"plaintext": [{"path": "/spec/replicas", "operator": "replace"}]}), "plaintext[0].value",
    ),
    "a pointer that is none": (op(plaintext("spec/replicas")), "plaintext[0].path"),
    "rules and the legacy form at once": (
        {**op(plaintext("/spec/a")), "spec": {"overrideRules": [], "targetCluster": {}}}, "spec.overrideRules",
    ),
    "an OverridePolicy that changes what a Role grants": (
        op(plaintext("/rules/0/verbs/0", "*"), selectors=[role()]), "spec.overrideRules[0].overriders.plaintext[0].path",
    ),
    "an override policy of a namespace that selects in another one": (
        op(plaintext("/spec/a"), selectors=[elsewhere(selector())]), "spec.resourceSelectors[0].namespace",
    ),
    "the hub as its own member": (cluster(id="uid-hub"), "spec.id"),
    "a cluster that has joined under another name": (cluster(id="uid-2"), "fedctl leave member2"),
    "the endpoint of another cluster": (cluster(apiEndpoint="https://m2.test:6443"), "spec.apiEndpoint"),
    "the same endpoint spelt otherwise": (cluster(apiEndpoint="https://M2.test:6443/"), "spec.apiEndpoint"),
    "a socks proxy": (cluster(proxyURL="socks5://proxy.test:1080"), "spec.proxyURL"),
    "a bundle that is no base64": (cluster(caBundle="-----BEGIN"), "spec.caBundle"),
    "a bundle without a certificate": (cluster(caBundle="aGVsbG8="), "spec.caBundle"),
    "a taint twice": (
        cluster(taints=[{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule", "value": "x"}]), "spec.taints[1]",
    ),
    "a taint whose key is none": (cluster(taints=[{"key": "a b", "effect": "NoSchedule"}]), "spec.taints[0].key"),
}  # fmt: skip


@pytest.mark.parametrize("sentence", REFUSED)
def test_refused_with_the_field(sentence: str) -> None:
    manifest, field = REFUSED[sentence]
    found = reviewed(manifest)
    assert not found.allowed
    assert field in found.message


EXPRESSED = {"clusterAffinity": {"labelSelector": {"matchLabels": {"tier": "bronze"}}}}
SET = selector("StatefulSet", "db")
CRD = "CustomResourceDefinition"

WARNED: dict[str, tuple[Manifest, str]] = {
    "a field that is not served yet": (pp(propagateDeps=True), "spec.propagateDeps: not served yet"),
    "what becomes of a policy with such a field": (pp(propagateDeps=True), "claims nothing new and moves nothing"),
    "the old name of propagateDeps": (pp(association=False), "spec.association: deprecated; use propagateDeps"),
    "a cluster that there is not": (pp(placement=on("member1", "membre2")), "clusterNames: there is no cluster membre2"),
    "an excluded cluster that there is not": (
        pp(placement={"clusterAffinity": {"exclude": ["membre2"]}}), "spec.placement.clusterAffinity.exclude",
    ),
    "a weight for a cluster that there is not": (pp(placement=weights(membre1=2)), "staticWeightList[0].targetCluster.clusterNames"),
    "suspending a cluster that there is not": (
        pp(suspension={"dispatchingOnClusters": {"clusterNames": ["gone"]}}), "dispatchingOnClusters.clusterNames",
    ),
    "labels that no cluster has": (pp(placement=EXPRESSED), "spec.placement.clusterAffinity: no cluster matches now"),
    "a kind that is never propagated": (pp(selector("Event", api="v1")), "never propagated: Events are facts"),
    "our own kinds": (cpp(selector("Cluster", api=f"{GROUP}/v1alpha1")), "never propagated: group"),
    "a reserved namespace": (cpp({**selector(), "namespace": "kube-system"}), "never propagated: namespace kube-system"),
    "every CRD at once": (cpp(selector(CRD, api="apiextensions.k8s.io/v1")), "only when a policy selects it by name"),
    "a cluster-scoped kind in a namespaced policy": (
        pp(selector("ClusterRole", "r", api="rbac.authorization.k8s.io/v1")), "use a ClusterPropagationPolicy",
    ),
    "a kind that the hub does not serve": (pp(selector("Gizmo", api="gizmos.test/v1")), "the hub serves no kind Gizmo"),
    "a StatefulSet divided": (pp(SET, placement=on("member1", "member2", **weights(member1=1))), "becomes 2 sets"),
    "a StatefulSet divided by what fits": (pp(SET, placement=aggregated()), "becomes 3 sets"),
    "an override for a cluster that there is not": (
        op(plaintext("/spec/a"), targetCluster={"clusterNames": ["gone"]}), "spec.overrideRules[0].targetCluster.clusterNames",
    ),
    "an override for labels that no cluster has": (
        op(plaintext("/spec/a"), targetCluster=EXPRESSED["clusterAffinity"]), "no cluster matches now",
    ),
    "a member's token in clear": (cluster(apiEndpoint="http://m4.test"), "spec.apiEndpoint: http sends"),
    "a certificate that is not checked": (cluster(insecureSkipTLSVerification=True), "set caBundle instead"),
    "a Secret that is not there yet": (
        cluster(secretRef={"namespace": "federation-system", "name": "none"}), "there is no Secret none",
    ),
    "the Secret of another cluster": (
        cluster(secretRef={"namespace": "federation-system", "name": "cluster-member2"}), "that of member2 too",
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", WARNED)
def test_accepted_with_a_warning(sentence: str) -> None:
    manifest, words = WARNED[sentence]
    found = reviewed(manifest)
    assert found.allowed, found.message
    assert words in "\n".join(found.warnings)


SILENT: dict[str, Manifest] = {
    "a policy": pp(),
    "a policy on every cluster": pp(placement={}),
    "a cluster policy that names a CRD": cpp(selector(CRD, "a.b", api="apiextensions.k8s.io/v1")),
    "a kind of a group that could not be listed (I14)": pp(selector("Gizmo", api="lost.test/v1")),
    "a StatefulSet on one cluster": pp(SET, placement=on("member1", **aggregated())),
    "a StatefulSet in every cluster whole": pp(SET, placement=on("member1", "member2")),
    "a Deployment divided": pp(placement=weights(member1=1, member2=2)),
    "an override": op(plaintext("/spec/template/spec/priority")),
    "an override of a Role's labels": op(plaintext("/metadata/labels/a", "b", "add"), selectors=[role()]),
    "a cluster-wide override of what a Role grants": op(plaintext("/rules/0/verbs/0", "get"), selectors=[role()], place=None),
    "a cluster": cluster(),
    "a cluster behind a proxy of its own at the same private address": cluster(
        apiEndpoint="https://m2.test:6443", proxyURL="http://proxy.test"
    ),
    "a Cluster that is itself": cluster("member2", id="uid-2", apiEndpoint="https://m2.test:6443"),
    "two effects of one taint": cluster(
        taints=[{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"}]
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", SILENT)
def test_passes_without_a_word(sentence: str) -> None:
    assert reviewed(SILENT[sentence]) == Verdict()


BROKEN = pp(elsewhere(selector()))


def test_what_was_wrong_before_an_edit_is_warned_of_so_that_it_can_be_suspended_as_it_is() -> None:
    suspended = {**BROKEN, "spec": {**BROKEN["spec"], "suspension": {"dispatching": True}}}
    found = reviewed(suspended, BROKEN)
    assert found.allowed
    assert "as before" in found.warnings[0]


def test_an_edit_that_breaks_one_more_rule_is_refused_for_that_one() -> None:
    worse = {**BROKEN, "spec": {**BROKEN["spec"], "preemption": "Always"}}
    found = reviewed(worse, BROKEN)
    assert [violation.rule for violation in found.violations] == ["preemption-needs-name"]


def test_an_edit_of_labels_is_not_held_up_by_a_spec_that_is_wrong_already() -> None:
    labelled = {**BROKEN, "metadata": {**BROKEN["metadata"], "labels": {"a": "b"}}}
    assert reviewed(labelled, BROKEN) == Verdict()


@pytest.mark.parametrize(
    ("operation", "subresource"), [("DELETE", ""), ("CONNECT", ""), ("UPDATE", "status")], ids=lambda word: word or "-"
)
def test_only_what_writes_a_spec_is_reviewed(operation: str, subresource: str) -> None:
    assert reviewed(BROKEN, operation=operation, subresource=subresource) == Verdict()


def test_a_kind_that_no_review_is_for_passes() -> None:
    assert reviewed(deployment("web", PLACE)) == Verdict()


def test_admission_refuses_exactly_what_makes_a_stored_policy_unusable() -> None:
    """One function judges both, so neither can forget a rule."""
    for manifest, _ in REFUSED.values():
        if manifest["kind"].endswith("PropagationPolicy"):
            wrong = {violation for violation in judge(manifest).violations if violation.rule != "unserved"}
            assert wrong
            assert set(reviewed(manifest).violations) == wrong


def known(*policies: Manifest) -> Snapshot:
    return replace(HUB, policies=tuple(judge(one) for one in policies))


def test_a_policy_with_the_very_same_selector_is_named_with_who_wins() -> None:
    other = policy("a", PLACE, selector(name="web"))
    (warning,) = reviewed(pp(), hub=known(other)).warnings
    assert "PropagationPolicy a selects exactly the same" in warning
    assert "of what is new a gets it" in warning


@pytest.mark.parametrize(
    "other",
    [
        policy("a", PLACE, selector(name="web"), priority=1), policy("a", PLACE, selector()), policy("p", PLACE, selector(name="web")),
        policy("a", None, selector(name="web")), policy("a", PLACE, selector(name="web"), propagateDeps=True),
    ],
    ids=["priority tells", "less exact", "the policy itself", "another scope", "unusable"],
)  # fmt: skip
def test_a_rival_is_named_only_where_nothing_but_the_alphabet_tells(other: Manifest) -> None:
    assert reviewed(pp(), hub=known(other)) == Verdict()


# --- a Cluster that is edited ------------------------------------------------------------------------------------------


def test_a_new_endpoint_of_a_member_is_told_where_the_token_goes() -> None:
    (warning,) = reviewed(cluster(apiEndpoint="https://new.test"), cluster()).warnings
    assert "the member's token is sent there" in warning


def test_a_cluster_that_shares_an_endpoint_since_before_may_still_be_edited() -> None:
    old = cluster(apiEndpoint="https://m2.test:6443")
    found = reviewed(cluster(apiEndpoint="https://m2.test:6443", region="eu"), old)
    assert found.allowed
    assert "fedctl leave member2 --force" in found.warnings[0]


# --- bindings and workloads --------------------------------------------------------------------------------------------


def binding(**spec: Any) -> Manifest:
    resource = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": PLACE, "name": "web"}
    return {
        "apiVersion": f"{GROUP}/v1alpha1", "kind": "ResourceBinding", "metadata": {"name": "web", "namespace": PLACE},
        "spec": {"resource": resource, **spec},
    }  # fmt: skip


def test_a_pin_to_a_cluster_that_there_is_not_is_warned_of_and_another_passes() -> None:
    assert "there is no cluster gone" in reviewed(binding(pin={"shares": {"gone": 1}}), binding()).warnings[0]
    assert reviewed(binding(pin={"shares": {"member1": 1}}), binding()) == Verdict()


def test_whoever_writes_what_the_federation_writes_is_told_and_never_refused() -> None:
    assert "apply a policy instead" in reviewed(binding()).warnings[0]
    (warning,) = reviewed(binding(scale=3), binding()).warnings
    assert warning.startswith("spec.scale: written by the federation")


def stateful_set(replicas: int = 3) -> Manifest:
    made = deployment("db", PLACE, replicas)
    return {**made, "kind": "StatefulSet"}


def job(**spec: Any) -> Manifest:
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": PLACE},
        "spec": {"parallelism": 4, "completions": 4, **spec},
    }  # fmt: skip


DIVIDING = policy("wide", PLACE, SET, selector("Job", api="batch/v1"), placement=aggregated())
WHOLE = policy("whole", PLACE, SET, selector("Job", api="batch/v1"), placement=on("member2", **aggregated()))

UNSAFE: dict[str, tuple[Manifest, Manifest, str]] = {
    "a StatefulSet that its policy divides": (stateful_set(), DIVIDING, "that many sets"),
    "an Indexed Job that its policy divides": (job(completionMode="Indexed"), DIVIDING, "counts its indexes from 0"),
}
SAFE: dict[str, tuple[Manifest, Manifest]] = {
    "a StatefulSet of one replica": (stateful_set(1), DIVIDING),
    "a StatefulSet on one cluster": (stateful_set(), WHOLE),
    "a Job whose parts are alike": (job(), DIVIDING),
    "an Indexed Job on one cluster": (job(completionMode="Indexed"), WHOLE),
    "a StatefulSet that nobody claims": (stateful_set(), pp(selector(name="web"), placement=aggregated())),
    "a StatefulSet whose policy is unusable": (
        stateful_set(), policy("wide", PLACE, SET, placement=aggregated(), propagateDeps=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", UNSAFE)
def test_a_workload_whose_parts_know_their_number_is_warned_of_before_it_is_split(sentence: str) -> None:
    manifest, claiming, words = UNSAFE[sentence]
    found = reviewed(manifest, hub=known(claiming))
    assert found.allowed
    assert words in found.warnings[0]
    assert claiming["metadata"]["name"] in found.warnings[0]


@pytest.mark.parametrize("sentence", SAFE)
def test_nothing_is_said_of_a_workload_that_bears_its_policy(sentence: str) -> None:
    manifest, claiming = SAFE[sentence]
    assert reviewed(manifest, hub=known(claiming)) == Verdict()


def test_a_name_that_is_still_to_be_made_up_is_no_obstacle() -> None:
    made = stateful_set()
    metadata = {"generateName": "db-", "namespace": PLACE}
    claiming = policy("wide", PLACE, selector("StatefulSet"), placement=aggregated())
    assert reviewed({**made, "metadata": metadata}, hub=known(claiming)).warnings
