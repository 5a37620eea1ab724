"""What the schema accepts and this version does not do yet: refused with a clear message, never silently ignored.

Remove an entry with the change that serves it.
"""

from collections.abc import Iterator

from federation.api.placement import Placement
from federation.api.propagation import PropagationSpec
from federation.policy.violation import Violation

DEFAULT_SCHEDULER = "default-scheduler"
RULE = "unserved"


def unserved(spec: PropagationSpec) -> list[Violation]:
    """Fields of a propagation spec that ask for what is not served yet. A field that says the default asks for nothing."""
    return [Violation(RULE, path, f"not served yet; {advice}") for path, advice in _asked(spec)]


def _asked(spec: PropagationSpec) -> Iterator[tuple[str, str]]:
    yield from _of_placement(spec.placement)
    if spec.propagate_deps:
        yield "spec.propagateDeps", "leave it out, and select the ConfigMaps, Secrets and others by name"
    if spec.association:
        yield "spec.association", "leave it out, and select the ConfigMaps, Secrets and others by name"
    if spec.scheduler_name and spec.scheduler_name != DEFAULT_SCHEDULER:
        yield "spec.schedulerName", f"leave it out; there is one scheduler, {DEFAULT_SCHEDULER}"
    if spec.failover is not None and (spec.failover.application or spec.failover.cluster):
        yield "spec.failover", "leave it out; what is placed stays where it is"


def _of_placement(placement: Placement) -> Iterator[tuple[str, str]]:
    path = "spec.placement"
    if placement.load not in {None, "Ignore"}:
        yield f"{path}.load", "leave it out; measured load does not enter the score"
