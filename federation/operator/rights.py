"""What the hub's service account may do in a member: least rights, said before they are made. Pure.

The usual kinds are what execute needs for everyday manifests. RBAC kinds, `escalate` and `impersonate` are given only when they
are named, and nothing implies them. A wildcard is never given: `*` stands for the kinds that the member serves now, written out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from federation.api.meta import SYSTEM_NAMESPACE
from federation.kube.discovery import Discovery
from federation.kube.resource import Resource

SERVICE_ACCOUNT = "federation-hub"
WRITE = ("get", "list", "watch", "create", "patch", "delete")
READ = ("get", "list", "watch")
RBAC_GROUP = "rbac.authorization.k8s.io"

_USUAL = {
    "": (
        "configmaps", "limitranges", "namespaces", "persistentvolumeclaims", "pods", "resourcequotas", "secrets",
        "serviceaccounts", "services",
    ),
    "apps": ("daemonsets", "deployments", "replicasets", "statefulsets"),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "networking.k8s.io": ("ingresses", "networkpolicies"),
    "policy": ("poddisruptionbudgets",),
}  # fmt: skip
_READ_ONLY = {"": ("nodes",), "apiextensions.k8s.io": ("customresourcedefinitions",)}


class UnknownKind(ValueError):
    """A kind that was asked for by name is not served by the member."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One RBAC rule."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As RBAC writes it."""
        return {"apiGroups": [self.group], "resources": list(self.resources), "verbs": list(self.verbs)}

    def __str__(self) -> str:
        return f"{self.group or 'core'}: {', '.join(self.resources)} [{' '.join(self.verbs)}]"


def usual_rules() -> list[Rule]:
    """Rights of every join."""
    return [
        *(Rule(group, resources, WRITE) for group, resources in _USUAL.items()),
        *(Rule(group, resources, READ) for group, resources in _READ_ONLY.items()),
    ]


def looking_rules(discovery: Discovery) -> list[Rule]:
    """Rights to list the other namespaced kinds: a namespace of ours is removed only when it surely holds nothing foreign."""
    known = {(rule.group, name) for rule in usual_rules() for name in rule.resources}
    others: dict[str, list[str]] = {}
    for one in discovery.resources:
        if one.namespaced and "list" in one.verbs and (one.group, one.plural) not in known:
            others.setdefault(one.group, []).append(one.plural)
    return [Rule(group, tuple(sorted(set(names))), ("list",)) for group, names in sorted(others.items())]


def allowed_rules(names: Iterable[str], discovery: Discovery) -> list[Rule]:
    """Rights for kinds named by `--allow`: plural, plural.group, kind, or one of `*`, `escalate`, `impersonate`.

    Raises UnknownKind for what the member does not serve.
    """
    rules: list[Rule] = []
    for name in names:
        if name == "*":
            rules.extend(every_kind(discovery))
        elif name == "escalate":
            rules.append(Rule(RBAC_GROUP, ("clusterroles", "roles"), ("escalate", "bind")))
        elif name == "impersonate":
            rules.append(Rule("", ("groups", "serviceaccounts", "users"), ("impersonate",)))
        else:
            found = find_resource(name, discovery)
            rules.append(Rule(found.group, (found.plural,), WRITE))
    return rules


def every_kind(discovery: Discovery) -> list[Rule]:
    """Rights to write each kind that the member serves, RBAC kinds left out: those are named, or not given."""
    groups: dict[str, set[str]] = {}
    for one in discovery.resources:
        if one.group != RBAC_GROUP and one.verbs >= set(WRITE):
            groups.setdefault(one.group, set()).add(one.plural)
    return [Rule(group, tuple(sorted(names)), WRITE) for group, names in sorted(groups.items())]


def find_resource(name: str, discovery: Discovery) -> Resource:
    """The resource that a person means by `widgets.example.com`, `widgets`, `Widget` or `widget.example.com`.

    Raises UnknownKind, which lists what is close.
    """
    wanted, _, group = name.lower().partition(".")
    matches = [
        one
        for one in discovery.resources
        if wanted in (one.plural.lower(), one.kind.lower()) and group in ("", one.group.lower())
    ]
    if not matches:
        raise UnknownKind(
            f"the member serves no kind {name!r}; name it as plural.group (kubectl api-resources lists them)"
        )
    return matches[0]


def token_rule() -> dict[str, Any]:
    """The one right inside our own namespace there: renewing our own token."""
    return {
        "apiGroups": [""],
        "resources": ["serviceaccounts/token"],
        "resourceNames": [SERVICE_ACCOUNT],
        "verbs": ["create"],
    }


def describe(rules: Iterable[Rule]) -> list[str]:
    """Lines for people, printed before anything is made."""
    lines = [str(rule) for rule in rules]
    return [*lines, f"core: serviceaccounts/token of {SYSTEM_NAMESPACE}/{SERVICE_ACCOUNT} [create]"]


def merged(existing: Iterable[dict[str, Any]], more: Iterable[Rule]) -> list[dict[str, Any]]:
    """Rules of a role with `more` added once."""
    rules = list(existing)
    for rule in more:
        if rule.as_json() not in rules:
            rules.append(rule.as_json())
    return rules
