"""When the content of a Lazy policy acts on an object: not before the object itself changes (karmada.md 3.1.4). Pure.

The binding remembers the generation in force and, while a newer one waits, a hash of the template as it was when the wait began;
so the answer is the same after a restart. Before there is a binding, the times of the last changes decide.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from federation.api.meta import Manifest
from federation.api.naming import short_hash
from federation.policy.claim import PolicyFacts

LAZY: Final = "Lazy"
NOTHING: Final = 0
"""The generation in force while nothing of the policy is."""

Reference = Mapping[str, Any]
"""`binding.spec.policy`."""


def fingerprint(template: Manifest) -> str:
    """A hash of what a user can change: everything but the status and what the API server keeps in metadata."""
    metadata = template["metadata"]
    content = {key: value for key, value in template.items() if key not in ("metadata", "status")}
    content["metadata"] = [metadata.get("labels"), metadata.get("annotations")]
    return short_hash(orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode())


def last_change(manifest: Manifest) -> str:
    """When an object was changed last, its status apart: RFC 3339 in UTC, so that texts compare as times.

    The API server counts no change that only removes fields; lists count as a whole.
    """
    metadata = manifest["metadata"]
    times = [
        entry.get("time") or ""
        for entry in metadata.get("managedFields") or ()
        if entry.get("subresource") != "status"
    ]  # fmt: skip
    return max([metadata.get("creationTimestamp") or "", *times])


def acts_at_once(policy: PolicyFacts, template: Manifest) -> bool:
    """Whether a Lazy policy claims an object that has no binding: the object is no older than the policy's content.

    Equal times count as at once: what is applied in one go belongs together, and nothing is placed yet.
    """
    return last_change(template) >= policy.changed


def in_force(policy: PolicyFacts, reference: Reference) -> bool:
    """Whether the content of a Lazy policy, as it is now, is the one in force for a binding."""
    return reference.get("uid") == policy.uid and reference.get("generation") == policy.generation


def is_due(reference: Reference, template: Manifest) -> bool:
    """Whether the template changed since an edit began to wait: detect is about to put it in force."""
    noted = reference.get("templateHash")
    return noted is not None and noted != fingerprint(template)


def generation_in_force(
    policy: PolicyFacts, template: Manifest, reference: Reference, *, decided: bool, anew: bool
) -> Manifest:
    """What a binding's reference to the Lazy policy that claims it says besides its name.

    `generation` alone: the policy acts as it is now. With `templateHash`: it waits. `decided`: there is a decision to keep; a
    policy whose edits came before its first decision acts as it is. `anew`: the template was made again.
    """
    now = {"generation": policy.generation}
    mine = reference.get("uid") == policy.uid
    if anew or (mine and not decided) or in_force(policy, reference) or (mine and is_due(reference, template)):
        return now
    noted = reference.get("templateHash") if mine else None
    before = (reference.get("generation") or NOTHING) if mine else NOTHING
    return {"generation": before, "templateHash": noted or fingerprint(template)}
