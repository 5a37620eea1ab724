"""Names that we derive: short hashes, and the name of a template's binding."""

import hashlib
import re

_UNSAFE = re.compile(r"[^a-z0-9.-]+")
NAME_LIMIT = 253

BindingKey = tuple[str, str]
"""(namespace, name) of a binding; an empty namespace means a ClusterResourceBinding."""


def short_hash(text: str) -> str:
    """16 hex digits of a SHA-256: enough to tell objects apart, short enough for a label value."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def binding_name(group: str, kind: str, namespace: str, name: str) -> str:
    """Name of the binding of a template: `web-deployment-1a2b3c4d`.

    The hash covers group, kind, namespace and name, so that equal names of equal kinds in two groups do not collide
    (they do in Karmada, karmada.md 1.2.2). The name is lowered, made DNS-safe and cut to fit.
    """
    digest = hashlib.sha256(f"{group}\x00{kind}\x00{namespace}\x00{name}".encode()).hexdigest()[:8]
    tail = f"-{kind.lower()}-{digest}"
    head = _UNSAFE.sub(".", name.lower())[: NAME_LIMIT - len(tail)].strip(".-") or "x"
    return head + tail


def binding_key(api_version: str, kind: str, namespace: str, name: str) -> BindingKey:
    """The key of the binding of a template; the namespace is empty for a cluster-scoped one."""
    group = api_version.rpartition("/")[0]
    return namespace, binding_name(group, kind, namespace, name)
