"""How server-side apply sees a place in an object: a map or list that managers share, or a value owned as a whole.

Built-in kinds follow a table taken from the OpenAPI document of Kubernetes 1.36; custom kinds follow the
x-kubernetes-list-type, -list-map-keys and -map-type of their schema. What neither names is what Kubernetes assumes:
maps are shared, lists are atomic.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from federation.api.meta import Manifest

Names = tuple[str, ...]
"""Field names from the root; list items add nothing."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`keys`: a list of maps identified by them; `values`: a set of scalars; `atomic`: owned as a whole."""

    atomic: bool = False
    keys: tuple[str, ...] = ()
    values: bool = False
    bare: bool = False
    """A struct that is always there in a built-in kind, so that nobody owns its mere presence."""


SHARED = Shape()
ATOMIC = Shape(atomic=True)
_SET = Shape(values=True)
_BARE = Shape(bare=True)


class Topology(Protocol):
    """The shapes of one kind."""

    def shape(self, names: Names) -> Shape:
        """The shape of the place."""


_BY_NAME = {
    "containers": Shape(keys=("name",), bare=True),
    "initContainers": Shape(keys=("name",)),
    "ephemeralContainers": Shape(keys=("name",)),
    "env": Shape(keys=("name",)),
    "volumes": Shape(keys=("name",)),
    "volumeMounts": Shape(keys=("mountPath",)),
    "volumeDevices": Shape(keys=("devicePath",)),
    "hostAliases": Shape(keys=("ip",)),
    "podIPs": Shape(keys=("ip",)),
    "resourceClaims": Shape(keys=("name",)),
    "schedulingGates": Shape(keys=("name",)),
    "claims": Shape(keys=("name",)),
    "topologySpreadConstraints": Shape(keys=("topologyKey", "whenUnsatisfiable")),
    "podCIDRs": _SET,
    "spec": _BARE,
    "status": _BARE,
    "template": _BARE,
    "metadata": _BARE,
    "strategy": _BARE,
    "updateStrategy": _BARE,
    "resources": _BARE,
    **dict.fromkeys(
        (
            "configMapKeyRef",
            "fieldRef",
            "fileKeyRef",
            "involvedObject",
            "labelSelector",
            "namespaceSelector",
            "nodeSelector",
            "podSelector",
            "preference",
            "requiredDuringSchedulingIgnoredDuringExecution",
            "resourceFieldRef",
            "roleRef",
            "scopeSelector",
            "secretKeyRef",
            "selector",
            "targetRef",
        ),
        ATOMIC,
    ),
}

_METADATA: dict[Names, Shape] = {
    ("metadata", "finalizers"): _SET,
    ("metadata", "ownerReferences"): Shape(keys=("uid",)),
}

_CONDITIONS = Shape(keys=("type",))

_BY_KIND: dict[tuple[str, Names], Shape] = {
    ("Service", ("spec", "ports")): Shape(keys=("port", "protocol")),
    ("Node", ("status", "addresses")): Shape(keys=("type",)),
    ("ServiceAccount", ("secrets",)): Shape(keys=("name",)),
    ("Job", ("status", "conditions")): ATOMIC,
}

_POD_PARENTS = ("containers", "initContainers", "ephemeralContainers")


class BuiltIn:
    """The shapes of a built-in kind."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def shape(self, names: Names) -> Shape:
        """See Topology."""
        special = _METADATA.get(names) or _BY_KIND.get((self._kind, names))
        if special:
            return special
        if names == ("status", "conditions"):
            return _CONDITIONS
        last, parent = names[-1] if names else "", names[-2] if len(names) > 1 else ""
        if last == "ports" and parent in _POD_PARENTS:
            return Shape(keys=("containerPort", "protocol"))
        if last == "imagePullSecrets":
            return Shape(keys=("name",)) if parent == "spec" else ATOMIC
        if parent in ("labels", "annotations", "data", "binaryData", "stringData", "limits", "requests"):
            return SHARED
        return _BY_NAME.get(last, SHARED)


class Custom:
    """The shapes of a custom kind, from its schema."""

    def __init__(self, schema: Manifest) -> None:
        self._schema = schema
        self._known: dict[Names, Shape] = {}

    def shape(self, names: Names) -> Shape:
        """See Topology."""
        if names and names[0] == "metadata":
            return _METADATA.get(names) or (_BARE if names == ("metadata",) else SHARED)
        found = self._known.get(names)
        if found is None:
            found = self._known[names] = _shape(self._place(names))
        return found

    def _place(self, names: Names) -> Manifest:
        place: Any = self._schema
        for name in names:
            while place.get("items"):
                place = place["items"]
            place = (place.get("properties") or {}).get(name, place.get("additionalProperties"))
            if not isinstance(place, dict):
                return {}
        return dict(place)


def _shape(place: Manifest) -> Shape:
    kind = place.get("x-kubernetes-list-type")
    if kind == "map":
        return Shape(keys=tuple(place.get("x-kubernetes-list-map-keys") or ()))
    if kind == "set":
        return _SET
    return ATOMIC if place.get("x-kubernetes-map-type") == "atomic" else SHARED
