"""What a state of the journal says of each binding: its template, its copies, and what they hold. Pure.

Written apart from the product's own reading of the same objects: a mistake there must not hide itself here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from federation.api.lines import Mark, parse_mark
from federation.api.meta import MARK_ANNOTATION
from tests.faults.journal import Manifest, State

HUB = "hub"
BINDINGS = ("resourcebindings", "clusterresourcebindings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One binding with its template and its copies, in one state."""

    binding: Manifest
    template: Manifest | None
    copies: dict[str, Manifest]
    decision: Manifest
    divided: bool

    @property
    def place(self) -> str:
        """The template in words."""
        resource = self.binding["spec"]["resource"]
        return f"{resource['kind']} {resource.get('namespace', '')}/{resource['name']}"

    @property
    def wanted(self) -> int:
        """Replicas that the user wants; 0 for a template that goes."""
        if self.template is None or "deletionTimestamp" in self.template["metadata"]:
            return 0
        return int((self.template.get("spec") or {}).get("replicas", 1))

    @property
    def counts(self) -> bool:
        """Whether its replicas are parts of one number, wanted now."""
        spec = (self.template or {}).get("spec") or {}
        return self.divided and "replicas" in spec and self.wanted > 0

    @property
    def targets(self) -> dict[str, int]:
        """What execute applies now."""
        return dict(self.decision.get("targets") or {})


def placed(state: State) -> Iterator[Placed]:
    """Every binding of a state."""
    for resource in BINDINGS:
        for key, binding in list(state.every(resource, HUB)):
            reference = binding["spec"]["resource"]
            plural = reference["kind"].lower() + "s"
            decision = (binding.get("status") or {}).get("decision") or {}
            inputs = orjson.loads(decision.get("inputs") or "{}")
            scheduling = (inputs.get("placement") or {}).get("replicaScheduling")
            divided = scheduling is not None and scheduling.get("replicaSchedulingType", "Divided") == "Divided"
            template = state.get(HUB, plural, reference.get("namespace") or "", reference["name"])
            if template is not None and template["metadata"]["uid"] != reference.get("uid"):
                template = None
            yield Placed(
                binding=binding, template=template, decision=decision, divided=divided,
                copies=_copies(state, plural, f"{key[2]}/{key[3]}"),
            )  # fmt: skip


def _copies(state: State, plural: str, binding: str) -> dict[str, Manifest]:
    found = {}
    for key, copy in state.every(plural):
        mark = parse_mark_of(copy)
        if key[0] != HUB and mark is not None and mark.binding == binding:
            found[key[0]] = copy
    return found


def parse_mark_of(found: Manifest) -> Mark | None:
    """Our mark; None where there is none."""
    return parse_mark(annotation(found))


def annotation(found: Manifest) -> str:
    """The text of our mark; empty where there is none."""
    return str((found["metadata"].get("annotations") or {}).get(MARK_ANNOTATION) or "")


def replicas(copy: Manifest) -> int:
    """What we wrote, or the default."""
    return int(copy["spec"].get("replicas", 1))


def available(copy: Manifest) -> int:
    """Replicas that serve, whoever they belong to."""
    return int((copy.get("status") or {}).get("availableReplicas") or 0)


def observed(copy: Manifest) -> bool:
    """Whether the member's controller has seen what we wrote last."""
    return ((copy.get("status") or {}).get("observedGeneration") or 0) >= (copy["metadata"].get("generation") or 0)


def fresh(copy: Manifest, before: Manifest | None) -> int:
    """Replicas that are known to be available for what we wrote last. `before`: the copy as its controller last saw it.

    While it has not seen the last write, the old number stands for pods that the write leaves alone: those of a copy
    whose number alone was changed.
    """
    if observed(copy):
        return min(available(copy), int((copy.get("status") or {}).get("updatedReplicas") or 0), replicas(copy))
    same = before is not None and _but_replicas(before) == _but_replicas(copy)
    return min(available(copy), replicas(copy)) if same else 0


def _but_replicas(copy: Manifest) -> tuple[str, Manifest]:
    return copy["metadata"]["uid"], {key: value for key, value in copy["spec"].items() if key != "replicas"}


def allowed(template: Manifest, field: str) -> int:
    """maxSurge or maxUnavailable as a number, 25 % where the user says nothing; Kubernetes rounds surge up only."""
    strategy = (template["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    value = strategy.get(field, "25%")
    if isinstance(value, int):
        return value
    part = int(str(value).rstrip("%")) * int(template["spec"].get("replicas", 1))
    return -(-part // 100) if field == "maxSurge" else part // 100
