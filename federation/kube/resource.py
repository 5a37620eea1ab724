"""Resources of an API server as data: where a kind lives in the URL space."""

from dataclasses import dataclass, field
from urllib.parse import quote

from federation.api.meta import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as an API server serves it. Two are equal when group, version and plural are."""

    group: str
    version: str
    plural: str
    kind: str = field(compare=False)
    namespaced: bool = field(compare=False)
    status: bool = field(default=False, compare=False)
    """Whether there is a status subresource."""
    verbs: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_kind(self) -> tuple[str, str]:
        """(group, kind): the identity of a kind across versions."""
        return self.group, self.kind

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, of one object, or of its subresource."""
        parts = ["/apis/" + self.group if self.group else "/api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=":"))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


_ALL = frozenset({"create", "delete", "get", "list", "patch", "update", "watch"})

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False, status=True, verbs=_ALL)
SECRETS = Resource("", "v1", "secrets", "Secret", namespaced=True, verbs=_ALL)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True, verbs=_ALL)
EVENTS = Resource("", "v1", "events", "Event", namespaced=True, verbs=_ALL)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False, status=True, verbs=_ALL)
PODS = Resource("", "v1", "pods", "Pod", namespaced=True, status=True, verbs=_ALL)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", namespaced=True, verbs=_ALL)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", namespaced=True, status=True, verbs=_ALL)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", namespaced=True, verbs=_ALL)
CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition",
    namespaced=False, status=True, verbs=_ALL,
)  # fmt: skip
PRIORITY_CLASSES = Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False, verbs=_ALL)
VALIDATING_WEBHOOKS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration",
    namespaced=False, verbs=_ALL,
)  # fmt: skip
API_SERVICES = Resource(
    "apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False, status=True, verbs=_ALL
)


def _ours(plural: str, kind: str, *, namespaced: bool) -> Resource:
    return Resource(GROUP, VERSION, plural, kind, namespaced=namespaced, status=True, verbs=_ALL)


CLUSTERS = _ours("clusters", "Cluster", namespaced=False)
PROPAGATION_POLICIES = _ours("propagationpolicies", "PropagationPolicy", namespaced=True)
CLUSTER_PROPAGATION_POLICIES = _ours("clusterpropagationpolicies", "ClusterPropagationPolicy", namespaced=False)
OVERRIDE_POLICIES = _ours("overridepolicies", "OverridePolicy", namespaced=True)
CLUSTER_OVERRIDE_POLICIES = _ours("clusteroverridepolicies", "ClusterOverridePolicy", namespaced=False)
RESOURCE_BINDINGS = _ours("resourcebindings", "ResourceBinding", namespaced=True)
CLUSTER_RESOURCE_BINDINGS = _ours("clusterresourcebindings", "ClusterResourceBinding", namespaced=False)
REBALANCES = _ours("rebalances", "Rebalance", namespaced=False)
