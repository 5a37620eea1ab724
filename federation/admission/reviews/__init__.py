"""Every review with the kinds that it is for, when it is called, and what happens while nobody answers.

`REVIEWED` is the one table: the registration, the server's dispatch and docs/admission.md follow it. Nothing here is
fail-closed: what has to hold without us is held by the API server itself (schemas, CEL, ValidatingAdmissionPolicy
`federation-boundaries`) and by the controllers, which judge again whatever is stored.
"""

from dataclasses import dataclass
from typing import Final, Literal

from federation.admission.review import ALLOWED, Request, Review, Snapshot, Verdict
from federation.admission.reviews import binding, cluster, override, propagation, workload
from federation.api.meta import GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """Kinds that one review looks at."""

    name: str
    resources: tuple[tuple[str, str], ...]
    """(group, plural)."""
    operations: tuple[str, ...]
    review: Review
    failure: Literal["Ignore", "Fail"]
    because: str
    """Why `failure`, in words; docs/admission.md repeats it."""


_WRITES = ("CREATE", "UPDATE")

REVIEWED: Final = (
    Reviewed(
        name="propagation",
        resources=((GROUP, "propagationpolicies"), (GROUP, "clusterpropagationpolicies")),
        operations=(*_WRITES, "DELETE"), review=propagation.review, failure="Ignore",
        because="the hub judges each policy again before it uses it; an unusable one claims nothing and its status says why",
    ),
    Reviewed(
        name="override",
        resources=((GROUP, "overridepolicies"), (GROUP, "clusteroverridepolicies")),
        operations=_WRITES, review=override.review, failure="Ignore",
        because="the borders are in federation-boundaries, which fails closed, and rendering compares before and after",
    ),
    Reviewed(
        name="cluster", resources=((GROUP, "clusters"),), operations=_WRITES, review=cluster.review, failure="Ignore",
        because="the life cycle compares identities before a Cluster counts as joined, and nothing is sent to one that did not",
    ),
    Reviewed(
        name="binding",
        resources=((GROUP, "resourcebindings"), (GROUP, "clusterresourcebindings")),
        operations=_WRITES, review=binding.review, failure="Ignore",
        because="it only warns; and no binding may wait for us",
    ),
    Reviewed(
        name="workload", resources=(("apps", "statefulsets"), ("batch", "jobs")), operations=("CREATE",),
        review=workload.review, failure="Ignore",
        because="it only warns; and templates are the users' own",
    ),
)  # fmt: skip

_BY_RESOURCE: Final = {resource: one for one in REVIEWED for resource in one.resources}


def review(request: Request, snapshot: Snapshot) -> Verdict:
    """The verdict on any request; what no review is for is allowed, and so is every deletion: it is only foretold."""
    if not is_reviewed(request) or request.operation == "DELETE":
        return ALLOWED
    return _BY_RESOURCE[request.group, request.resource].review(request, snapshot)


def is_reviewed(request: Request) -> bool:
    """Whether the table names the request, and there is anything to judge."""
    one = _BY_RESOURCE.get((request.group, request.resource))
    return one is not None and request.operation in one.operations and request.changes_spec


def label_of(request: Request) -> str:
    """The resource as metrics name it: one of those of the table, or `other`."""
    return request.resource if (request.group, request.resource) in _BY_RESOURCE else "other"
