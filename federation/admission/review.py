"""What an API server asks and what it is answered: AdmissionReview v1 in and out, and what every review shares. Pure.

A review is a function `(request, snapshot) -> verdict`. It never changes the object: a default that admission writes into
a spec differs from what git says, and `kubectl apply`, Argo CD and Flux fight over it for ever. So the defaults of
karmada.md 1.7 are applied where a value is read: an absent `namespace` of a selector is the policy's own (`policy/claim.py`),
a division without preference is Weighted (`schedule/`). There is no MutatingWebhookConfiguration.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from federation.api.meta import Manifest
from federation.api.words import first
from federation.hub.conditions import cut
from federation.hub.policies import Policy
from federation.policy.facts import ClusterFacts
from federation.policy.unserved import RULE as UNSERVED
from federation.policy.violation import Violation

API_VERSION: Final = "admission.k8s.io/v1"
SHOWN = 10
"""Problems and warnings that one answer names; the last line says how many more there are."""
WARNING_LIMIT = 256
"""Characters of a warning; API servers cut longer ones, and all of them at 4096."""
_MESSAGE_LIMIT = 4096


class Malformed(ValueError):
    """A body that is no AdmissionReview v1; the message says what is missing and holds nothing of the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question. `old` is None for what is created; `object` is empty for what is deleted."""

    uid: str
    group: str
    resource: str
    operation: str
    object: Manifest
    old: Manifest | None = None
    namespace: str = ""

    @property
    def name(self) -> str:
        """Name of the object; empty while the API server has yet to make one up."""
        return str(((self.object or self.old or {}).get("metadata") or {}).get("name") or "")

    @property
    def changes_spec(self) -> bool:
        """Whether there is anything to judge: labels, finalizers and the like of what is there already are not held up."""
        return self.old is None or self.object.get("spec") != self.old.get("spec")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCluster:
    """A Cluster of the hub."""

    facts: ClusterFacts
    ids: frozenset[str] = frozenset()
    """Identities that it claims or was seen to have: UIDs of kube-system."""
    endpoint: str = ""
    proxy: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What reviews know of the hub besides the object."""

    hub_id: str = ""
    """UID of the hub's own kube-system namespace."""
    clusters: tuple[KnownCluster, ...] = ()
    policies: tuple[Policy, ...] = ()
    """Living propagation policies of the request's namespace and cluster-wide ones."""
    secrets: frozenset[str] = frozenset()
    """Names of the Secrets in the system namespace."""
    namespaced: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    """(apiVersion, kind) -> whether it lives in namespaces, of every kind that the hub serves."""
    unlisted: Collection[str] = ()
    """apiVersions whose kinds could not be listed: nothing is said about them (I14)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer. Without a violation the object is allowed; warnings are shown to whoever sent it, either way."""

    violations: tuple[Violation, ...] = ()
    warnings: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    """What the change would do to what is placed; told before the warnings, and whole."""

    @property
    def allowed(self) -> bool:
        """Whether the object may be stored."""
        return not self.violations

    @property
    def message(self) -> str:
        """Why not: each field with what is wrong and what to do."""
        return cut("; ".join(first(self.violations, SHOWN)), _MESSAGE_LIMIT)


Review = Callable[[Request, Snapshot], Verdict]

ALLOWED: Final = Verdict()


def verdict(
    violations: Iterable[Violation], *, before: Iterable[Violation] = (), warnings: Iterable[str] = ()
) -> Verdict:
    """Refuse what is newly wrong. What was wrong before the edit, and what is not served yet, is accepted with a warning.

    So whoever has to suspend a policy that was stored before its rule existed is not made to mend it first.
    """
    stored = set(before)
    denied: list[Violation] = []
    told: list[str] = []
    for violation in violations:
        if violation.rule == UNSERVED:
            told.append(f"{violation}. As it stands, the policy claims nothing new and moves nothing")
        elif violation in stored:
            told.append(f"{violation} (as before; it stays unusable)")
        else:
            denied.append(violation)
    return Verdict(violations=tuple(denied), warnings=tuple(dict.fromkeys([*told, *warnings])))


def request_of(document: Any) -> Request:
    """Read an AdmissionReview. Raises Malformed."""
    if not isinstance(document, dict) or document.get("kind") != "AdmissionReview":
        raise Malformed("the body is no AdmissionReview")
    if document.get("apiVersion") != API_VERSION:
        raise Malformed(f"only {API_VERSION} is spoken here")
    request = document.get("request")
    if not isinstance(request, dict):
        raise Malformed("it has no request")
    uid, resource, old = request.get("uid"), request.get("resource"), request.get("oldObject")
    if not isinstance(uid, str) or not uid:
        raise Malformed("its request has no uid")
    if not isinstance(resource, dict):
        raise Malformed("its request names no resource")
    obj = request.get("object") or {}
    if not isinstance(obj, dict) or not isinstance(old or {}, dict):
        raise Malformed("its object is no object")
    subresource = str(request.get("subResource") or "")
    plural = str(resource.get("resource") or "")
    return Request(
        uid=uid, group=str(resource.get("group") or ""), resource=f"{plural}/{subresource}" if subresource else plural,
        operation=str(request.get("operation") or ""), object=obj, old=old or None,
        namespace=str(request.get("namespace") or ""),
    )  # fmt: skip


def answer(request: Request, found: Verdict) -> Manifest:
    """The AdmissionReview to send back."""
    response: Manifest = {"uid": request.uid, "allowed": found.allowed}
    if not found.allowed:
        response["status"] = {"code": 422, "reason": "Invalid", "message": found.message}
    if found.plan or found.warnings:
        response["warnings"] = [cut(line, WARNING_LIMIT) for line in (*found.plan, *first(found.warnings, SHOWN))]
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
