"""How many replicas a template asks for, and writing a member's share of them (karmada.md 3.5.2)."""

from federation.api.meta import Manifest
from federation.interpret.group_kind import DEPLOYMENT, JOB, POD, REPLICA_SET, STATEFUL_SET, group_kind

_SCALED = frozenset({DEPLOYMENT, REPLICA_SET, STATEFUL_SET})


def replicas_of(manifest: Manifest) -> int | None:
    """Replicas wanted; None for kinds that have none. An absent field counts as Kubernetes defaults it, 1.

    A Job wants min(parallelism, completions): more pods than that never run at once.
    """
    kind, spec = group_kind(manifest), manifest.get("spec") or {}
    if kind in _SCALED:
        return _number(spec.get("replicas"), 1)
    if kind == JOB:
        parallelism = _number(spec.get("parallelism"), 1)
        completions = spec.get("completions")
        return parallelism if completions is None else min(parallelism, int(completions))
    if kind == POD:
        return 1
    return None


def divisible(manifest: Manifest) -> bool:
    """Whether a share can be written into the object. A Pod counts as one replica and cannot be cut."""
    kind = group_kind(manifest)
    return kind in _SCALED or kind == JOB


def surge_of(manifest: Manifest) -> int:
    """Replicas that a move may hold on top of what is wanted: the workload's own maxSurge, at least 1 (DESIGN section 9).

    A percentage is of the wanted replicas and rounded up, 25 % by default, as Kubernetes has it for a Deployment.
    """
    if group_kind(manifest) != DEPLOYMENT:
        return 1
    strategy = (manifest.get("spec") or {}).get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 1
    given = str((strategy.get("rollingUpdate") or {}).get("maxSurge", "25%"))
    number = given.removesuffix("%")
    if not number.isdigit():
        return 1
    surge = -(-int(number) * (replicas_of(manifest) or 0) // 100) if given.endswith("%") else int(number)
    return max(1, surge)


def completions_of(manifest: Manifest) -> int | None:
    """Completions of a Job that has a number of them, which shares divide too; else None."""
    completions = (manifest.get("spec") or {}).get("completions") if group_kind(manifest) == JOB else None
    return None if completions is None else int(completions)


def set_share(manifest: Manifest, *, replicas: int, completions: int | None = None) -> Manifest:
    """A copy with a member's share: spec.replicas, or parallelism and completions of a Job."""
    spec = dict(manifest["spec"])
    if group_kind(manifest) != JOB:
        spec["replicas"] = replicas
    else:
        spec["parallelism"] = replicas
        if completions is not None:
            spec["completions"] = completions
    return {**manifest, "spec": spec}


def _number(value: object, default: int) -> int:
    return default if value is None else int(str(value))
