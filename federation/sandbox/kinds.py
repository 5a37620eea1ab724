"""Which kinds the sandbox serves: a table of built-in ones, and those that CustomResourceDefinitions add.

A kind is data; what is done with its objects is in `registry`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from federation.api.meta import Manifest
from federation.sandbox.topology import BuiltIn, Custom, Topology


class Collection(NamedTuple):
    """Where objects of a kind are kept, in whatever version they are served."""

    group: str
    plural: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind in one version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    topology: Topology = field(compare=False)
    status: bool = False
    """Whether there is a status subresource."""
    generation: bool = False
    """Whether metadata.generation counts the changes of what users ask for."""
    unconditional: bool = True
    """Whether a PUT without resourceVersion is accepted."""
    custom: bool = False
    orphans: bool = False
    """Whether a deletion that does not say so leaves dependents alone (Jobs, for compatibility)."""
    singular: str = ""
    short_names: tuple[str, ...] = ()
    selectable: tuple[str, ...] = ()
    """Field selectors beyond metadata.name and metadata.namespace."""

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def collection(self) -> Collection:
        """Where its objects are kept."""
        return Collection(self.group, self.plural)

    @property
    def qualified(self) -> str:
        """`deployments.apps`, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_BUILT_IN = """
v1 namespaces Namespace cluster status short=ns select=status.phase
v1 nodes Node cluster status short=no select=spec.unschedulable
v1 persistentvolumes PersistentVolume cluster status short=pv
v1 configmaps ConfigMap namespaced short=cm
v1 endpoints Endpoints namespaced short=ep
v1 events Event namespaced short=ev select=@event
v1 limitranges LimitRange namespaced short=limits
v1 persistentvolumeclaims PersistentVolumeClaim namespaced status short=pvc
v1 pods Pod namespaced status generation short=po select=@pod
v1 podtemplates PodTemplate namespaced generation
v1 replicationcontrollers ReplicationController namespaced status generation orphans short=rc
v1 resourcequotas ResourceQuota namespaced status short=quota
v1 secrets Secret namespaced select=type
v1 serviceaccounts ServiceAccount namespaced short=sa
v1 services Service namespaced status short=svc select=spec.clusterIP,spec.type
admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration cluster generation
apps/v1 controllerrevisions ControllerRevision namespaced
apps/v1 daemonsets DaemonSet namespaced status generation short=ds
apps/v1 deployments Deployment namespaced status generation short=deploy
apps/v1 replicasets ReplicaSet namespaced status generation short=rs
apps/v1 statefulsets StatefulSet namespaced status generation short=sts
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler namespaced status short=hpa
batch/v1 cronjobs CronJob namespaced status generation short=cj
batch/v1 jobs Job namespaced status generation orphans select=status.successful
coordination.k8s.io/v1 leases Lease namespaced conditional
discovery.k8s.io/v1 endpointslices EndpointSlice namespaced generation conditional
networking.k8s.io/v1 ingressclasses IngressClass cluster generation
networking.k8s.io/v1 ingresses Ingress namespaced status generation short=ing
networking.k8s.io/v1 networkpolicies NetworkPolicy namespaced generation short=netpol
policy/v1 poddisruptionbudgets PodDisruptionBudget namespaced status generation conditional short=pdb
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding cluster
rbac.authorization.k8s.io/v1 clusterroles ClusterRole cluster
rbac.authorization.k8s.io/v1 rolebindings RoleBinding namespaced
rbac.authorization.k8s.io/v1 roles Role namespaced
scheduling.k8s.io/v1 priorityclasses PriorityClass cluster generation short=pc
storage.k8s.io/v1 storageclasses StorageClass cluster short=sc
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition cluster status generation conditional short=crd
"""

_SELECTABLE = {
    "@event": "involvedObject.kind,involvedObject.namespace,involvedObject.name,involvedObject.uid,"
    "involvedObject.apiVersion,involvedObject.resourceVersion,involvedObject.fieldPath,reason,reportingComponent,"
    "source,type",
    "@pod": "spec.nodeName,spec.restartPolicy,spec.schedulerName,spec.serviceAccountName,status.phase,"
    "status.nominatedNodeName",
}


def _built_in(line: str) -> Kind:
    api_version, plural, kind, scope, *flags = line.split()
    group, _, version = api_version.rpartition("/")
    words = dict(flag.partition("=")[::2] for flag in flags)
    selectable = _SELECTABLE.get(words.get("select", ""), words.get("select", ""))
    return Kind(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        namespaced=scope == "namespaced",
        topology=BuiltIn(kind),
        status="status" in words,
        generation="generation" in words,
        unconditional="conditional" not in words,
        orphans="orphans" in words,
        singular=kind.lower(),
        short_names=tuple(filter(None, words.get("short", "").split(","))),
        selectable=tuple(filter(None, selectable.split(","))),
    )


class Kinds:
    """The kinds of one server, in the order of discovery."""

    def __init__(self) -> None:
        self._built_in = [_built_in(line) for line in _BUILT_IN.strip().splitlines()]
        self._custom: dict[str, list[Kind]] = {}
        self._found: dict[tuple[str, str, str], Kind] = {}
        self._index()

    def _index(self) -> None:
        self._found = {(kind.group, kind.version, kind.plural): kind for kind in self}

    def __iter__(self) -> Iterator[Kind]:
        yield from self._built_in
        for kinds in self._custom.values():
            yield from kinds

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """The kind of a URL."""
        return self._found.get((group, version, plural))

    def named(self, api_version: str, kind: str) -> Kind | None:
        """The kind of a manifest; any version of the group will do, as for owner references."""
        group = api_version.rpartition("/")[0]
        return next((found for found in self if found.group == group and found.kind == kind), None)

    def kept(self, collection: Collection) -> Kind | None:
        """The first served version of a collection."""
        return next((found for found in self if found.collection == collection), None)

    def learn(self, definition: Manifest) -> None:
        """Serve what a CustomResourceDefinition defines; again after each change of it."""
        self._custom[definition["metadata"]["name"]] = _defined(definition)
        self._index()

    def forget(self, name: str) -> None:
        """Serve it no more."""
        self._custom.pop(name, None)
        self._index()


def _defined(definition: Manifest) -> list[Kind]:
    spec = definition["spec"]
    names = spec["names"]
    versions = [version for version in spec["versions"] if version.get("served", True)]
    return [
        Kind(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            topology=Custom((version.get("schema") or {}).get("openAPIV3Schema") or {}),
            status="status" in (version.get("subresources") or {}),
            generation=True,
            unconditional=False,
            custom=True,
            singular=names.get("singular") or names["kind"].lower(),
            short_names=tuple(names.get("shortNames") or ()),
            selectable=tuple(
                entry["jsonPath"].removeprefix(".") for entry in version.get("selectableFields") or [] if entry
            ),
        )
        for version in versions
    ]
