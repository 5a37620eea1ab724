"""ResourceBinding and ClusterResourceBinding as people write them: the pin is theirs, the rest is written by the federation."""

from collections.abc import Iterator

from federation.admission.review import Request, Snapshot, Verdict
from federation.admission.reviews.targets import name_warnings
from federation.api.meta import Manifest

PINNED = "pin"


def review(request: Request, snapshot: Snapshot) -> Verdict:
    """The verdict on a binding; it is never refused."""
    return Verdict(warnings=tuple(_warnings(request, snapshot)))


def _warnings(request: Request, snapshot: Snapshot) -> Iterator[str]:
    spec: Manifest = request.object.get("spec") or {}
    shares = (spec.get(PINNED) or {}).get("shares") or {}
    yield from name_warnings(shares, f"spec.{PINNED}.shares", snapshot.clusters)
    if request.old is None:
        yield "bindings are made by the federation, one for each template that a policy claims; apply a policy instead"
        return
    old: Manifest = request.old.get("spec") or {}
    changed = sorted(key for key in spec.keys() | old.keys() if spec.get(key) != old.get(key) and key != PINNED)
    if changed:
        fields = ", ".join(f"spec.{key}" for key in changed)
        yield f"{fields}: written by the federation, which may set it back; change the template or its policy instead"
