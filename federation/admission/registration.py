"""When API servers call us: the webhooks of ValidatingWebhookConfiguration `federation-admission`. Pure.

As narrow as it goes: the kinds of the table, no status, never a write that leaves the spec as it is, never one of the hub
process itself (it must not wait for its own answer), and no reserved namespace. Two seconds, then the API server goes on.
"""

import base64
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from federation.admission.reviews import REVIEWED, Reviewed
from federation.api.meta import GROUP, SYSTEM_NAMESPACE, VERSION, Manifest

CONFIGURATION: Final = "federation-admission"
PATH: Final = "/review"
TIMEOUT: Final = 2
"""Seconds that a user's request waits for us at most. A review takes milliseconds; more means that we are not there."""

_HUB_PROCESS: Final = f"system:serviceaccount:{SYSTEM_NAMESPACE}:federation-hub"
_CONTROLLERS: Final = (
    "request.userInfo.username == 'system:kube-controller-manager'"
    " || request.userInfo.username.startsWith('system:serviceaccount:kube-system:')"
)
"""Who deletes what a namespace held, one after the other, and reads no warnings."""
_RESERVED: Final = ["kube-system", "kube-public", "kube-node-lease", SYSTEM_NAMESPACE]


def webhooks(url: str, bundle: bytes) -> list[Manifest]:
    """All webhooks, with every field that an API server would default written out."""
    return [_webhook(one, url, bundle) for one in REVIEWED]


def differs(stored: Sequence[Manifest], wanted: Sequence[Manifest]) -> bool:
    """Whether the configuration must be written. What newer API servers add is no difference."""
    return not _covers(list(stored), list(wanted))


def url_problem(url: str) -> str | None:
    """Why API servers would not call a URL, or None; an empty one is none at all."""
    try:
        parts = urlsplit(url)
        plain = not parts.query and not parts.fragment and parts.username is None and parts.port != 0
    except ValueError:
        plain, parts = False, urlsplit("")
    if not url or (parts.scheme == "https" and parts.hostname and plain):
        return None
    return f"{url!r} is not of the form https://HOST[:PORT][/PATH]"


def bundle_of(stored: Sequence[Manifest]) -> bytes:
    """What API servers trust now, if all webhooks agree."""
    texts = {(one.get("clientConfig") or {}).get("caBundle") or "" for one in stored}
    try:
        return base64.b64decode(texts.pop()) if len(texts) == 1 else b""
    except ValueError:
        return b""


def _webhook(one: Reviewed, url: str, bundle: bytes) -> Manifest:
    return {
        "name": f"{one.name}.admission.{GROUP}",
        "clientConfig": {"url": url.rstrip("/") + PATH, "caBundle": base64.b64encode(bundle).decode()},
        "rules": [_rule(one, group) for group in dict.fromkeys(group for group, _ in one.resources)],
        "matchConditions": [
            {"name": "not-the-hub-process", "expression": f"request.userInfo.username != '{_HUB_PROCESS}'"},
            {
                "name": "spec-changed",
                "expression": "object == null || oldObject == null || !has(oldObject.spec) || object.spec != oldObject.spec",
            },
            {"name": "somebody-reads-it", "expression": f"request.operation != 'DELETE' || !({_CONTROLLERS})"},
        ],
        "namespaceSelector": {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": _RESERVED}]
        },
        "objectSelector": {},
        "matchPolicy": "Equivalent",
        "failurePolicy": one.failure,
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT,
        "admissionReviewVersions": ["v1"],
    }


def _rule(one: Reviewed, group: str) -> Manifest:
    return {
        "apiGroups": [group], "apiVersions": [VERSION if group == GROUP else "v1"], "operations": list(one.operations),
        "resources": [plural for found, plural in one.resources if found == group], "scope": "*",
    }  # fmt: skip


def _covers(stored: Any, wanted: Any) -> bool:
    """Whether everything wanted is there, lists whole."""
    if isinstance(wanted, dict) and isinstance(stored, dict):
        return all(key in stored and _covers(stored[key], value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(stored, list):
        return len(stored) == len(wanted) and all(map(_covers, stored, wanted))
    return bool(stored == wanted)
