"""The rendering: a template as one member gets it. Pure: template, share, overrides in; manifest and hash out.

Order: prune, the member's share of the replicas, overrides (an override has the last word, as in Karmada 3.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from federation.api.meta import Manifest
from federation.api.naming import short_hash
from federation.interpret import completions_of, divisible, prune, set_share
from federation.policy.facts import ClusterFacts
from federation.policy.override import OverrideFacts, render_overrides
from federation.schedule.divide.webster import spread_by_current


@dataclass(frozen=True, slots=True)
class Rendering:
    """The object as a member gets it, without marks; `hash` identifies it, `applied` says what the overrides did."""

    manifest: Manifest
    hash: str
    applied: tuple[str, ...]


def render(
    template: Manifest, *, cluster: ClusterFacts, shares: Mapping[str, int], overrides: Sequence[OverrideFacts]
) -> Rendering:
    """Render `template` for `cluster`.

    `shares` are the replicas of every target of a Divided workload; empty where the object goes out as it is.
    Raises OverrideError, which names the policy and the field.
    """
    manifest = prune(template)
    if shares and divisible(manifest):
        manifest = _with_share(manifest, cluster.name, shares)
    overridden = render_overrides(manifest, cluster, overrides)
    final = without_nulls(overridden.manifest)
    return Rendering(manifest=final, hash=short_hash(canonical(final)), applied=tuple(overridden.applied))


def _with_share(manifest: Manifest, cluster: str, shares: Mapping[str, int]) -> Manifest:
    """Completions of a Job follow its parallelism, so that all members together do the template's number (2.7.8)."""
    completions = completions_of(manifest)
    part = spread_by_current(completions, shares)[cluster] if completions is not None else None
    return set_share(manifest, replicas=shares[cluster], completions=part)


def canonical(value: Any) -> str:
    """One text per value: sorted keys, no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def without_nulls(value: Any) -> Any:
    """Drop null fields: server-side apply would own them, and API servers write some themselves (creationTimestamp)."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
