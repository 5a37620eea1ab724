"""OverridePolicy and ClusterOverridePolicy (karmada.md 1.7): what rendering would refuse whatever the object."""

from collections.abc import Iterator

from pydantic import ValidationError

from federation.admission.review import Request, Snapshot, Verdict, verdict
from federation.admission.reviews.targets import Placed, affinity_warnings
from federation.api.meta import Manifest, parse_lenient
from federation.api.override import OverrideSpec
from federation.hub.policies import schema_violations
from federation.policy.validate import Violation, validate_override


def review(request: Request, snapshot: Snapshot) -> Verdict:
    """The verdict on an override policy."""
    spec, violations = _read(request.object)
    before = _read(request.old)[1] if request.old is not None else []
    return verdict(violations, before=before, warnings=affinity_warnings(_targets(spec), snapshot.clusters))


def _read(manifest: Manifest) -> tuple[OverrideSpec, list[Violation]]:
    try:
        spec = parse_lenient(OverrideSpec, manifest.get("spec") or {})
    except ValidationError as error:
        return OverrideSpec(), schema_violations(error)
    return spec, validate_override(spec, namespace=manifest["metadata"].get("namespace") or None)


def _targets(spec: OverrideSpec) -> Iterator[Placed]:
    if spec.target_cluster is not None:
        yield "spec.targetCluster", spec.target_cluster
    for index, rule in enumerate(spec.override_rules or ()):
        if rule.target_cluster is not None:
            yield f"spec.overrideRules[{index}].targetCluster", rule.target_cluster
