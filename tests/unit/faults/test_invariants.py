"""Every checker is shown to fail: a hand-made journal that violates it, beside one that does not."""

from collections.abc import Callable

import orjson
import pytest

from federation.api.lines import Mark, print_mark
from federation.api.meta import HUB_LABEL, MARK_ANNOTATION
from tests.faults.invariants import CHECKS, violations
from tests.faults.journal import Answered, Asked, Entry, Note, Seen, Told
from tests.faults.rules import Request

Manifest = dict
BINDING = "web-deployment-1"


class Story:
    """A journal in the making: one second passes with each step; versions grow with it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.at = 0.0
        self.writes = 0

    def _tick(self, seconds: float = 1.0) -> float:
        self.at += seconds
        return self.at

    def wait(self, seconds: float) -> "Story":
        self.at += seconds
        return self

    def so(
        self, server: str, resource: str, found: Manifest, change: str = "MODIFIED", *, told: bool = True
    ) -> "Story":
        """It is so, and our process is told."""
        found = {**found, "metadata": {**found["metadata"], "resourceVersion": str(100 + len(self.entries))}}
        kinds = (Seen, Told) if told else (Seen,)
        for kind in kinds:
            self.entries.append(kind(at=self._tick(0.0), server=server, resource=resource, change=change, object=found))
        self._tick()
        return self

    def gone(self, server: str, resource: str, found: Manifest, *, told: bool = True) -> "Story":
        return self.so(server, resource, found, "DELETED", told=told)

    def write(self, server: str, verb: str, resource: str, name: str, *, body: object = None, status: int = 200,
              answer: object = None, subresource: str = "", namespace: str = "shop") -> "Story":  # fmt: skip
        request = Request(
            server=server, method="X", path="", verb=verb, resource=resource, subresource=subresource,
            namespace=namespace, name=name, user="federation-hub", body=body,
        )  # fmt: skip
        self.writes += 1
        self.entries.append(Asked(at=self._tick(0.0), request=request, number=self.writes))
        if isinstance(answer, dict):
            metadata = {**answer["metadata"], "resourceVersion": str(100 + len(self.entries))}
            answer = {**answer, "metadata": metadata}
        self.entries.append(
            Answered(at=self._tick(), request=request, status=status, object=answer or {"kind": "Status"})
        )
        return self

    def delete(self, cluster: str, *, uid: str = "some") -> "Story":
        return self.write(cluster, "delete", "deployments", "web", body={"preconditions": {"uid": uid}} if uid else {})

    def shrink(self, cluster: str, count: int, *, ready: int = 0) -> "Story":
        """Ask for another number; the answer has the status from before."""
        answer = copy(cluster, count, ready, epoch=2, generation=2)
        return self.write(cluster, "patch", "deployments", "web", body={"spec": {"replicas": count}}, answer=answer)

    def note(self, text: str, server: str = "") -> "Story":
        self.entries.append(Note(at=self._tick(), text=text, server=server))
        return self


def template(
    replicas: int = 3, *, generation: int = 1, uid: str = "t1", observed: int | None = None, failed: bool = False
) -> Manifest:
    found: Manifest = {
        "metadata": {"namespace": "shop", "name": "web", "uid": uid, "generation": generation},
        "spec": {"replicas": replicas},
    }
    if observed is not None:
        found["status"] = {"observedGeneration": observed}
    if failed:
        found["status"]["conditions"] = [
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        ]
    return found


def binding(epoch: int = 1, lines: dict[str, str] | None = None, **targets: int) -> Manifest:
    inputs = {
        "placement": {"replicaScheduling": {"replicaSchedulingType": "Divided"}},
        "replicas": sum(targets.values()),
    }
    return {
        "metadata": {"namespace": "shop", "name": BINDING, "uid": "b1"},
        "spec": {"resource": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web", "uid": "t1"}},
        "status": {
            "decision": {"epoch": epoch, "targets": targets, "inputs": orjson.dumps(inputs).decode()}, "members": lines or {},
        },
    }  # fmt: skip


def copy(
    cluster: str, replicas: int, ready: int = 0, *, epoch: int = 1, generation: int = 1, observed: int = 1, uid: str = "",
    marked: bool = True, image: str = "a",
) -> Manifest:  # fmt: skip
    mark = Mark(hub="H", binding=f"shop/{BINDING}", template_uid="t1", epoch=epoch, hash="h")
    metadata: Manifest = {"namespace": "shop", "name": "web", "uid": uid or f"c-{cluster}", "generation": generation}
    if marked:
        metadata |= {"labels": {HUB_LABEL: "x"}, "annotations": {MARK_ANNOTATION: print_mark(mark)}}
    status = {"availableReplicas": ready, "updatedReplicas": ready, "observedGeneration": observed}
    return {"metadata": metadata, "spec": {"replicas": replicas, "image": image}, "status": status}


def settled(**shares: int) -> Story:
    """A Deployment that runs as decided."""
    story = (
        Story()
        .so("hub", "deployments", template(sum(shares.values())))
        .so("hub", "resourcebindings", binding(**shares))
    )
    for cluster, count in shares.items():
        story.so(cluster, "deployments", copy(cluster, count, count))
    return story.note("quiet").note("act")


def applied(story: Story, epoch: int, lines: dict[str, str] | None = None, **targets: int) -> Story:
    claim = {"op": "replace", "path": "/status/conditions/1", "value": {"type": "FullyApplied", "status": "True"}}
    return story.write(
        "hub", "patch", "resourcebindings", BINDING, subresource="status", body=[claim], answer=binding(epoch, lines, **targets)
    )  # fmt: skip


def claims_generation(story: Story, generation: int) -> Story:
    return story.write("hub", "patch", "deployments", "web", subresource="status", answer=template(observed=generation))


GONE = template()
RED: dict[str, tuple[str, Callable[[], Story]]] = {
    "more replicas written than wanted and the surge": (
        "I1", lambda: settled(m1=3).so("m2", "deployments", copy("m2", 2)),
    ),
    "more replicas than after a rescale that settled": (
        "I1", lambda: settled(m1=6).so("hub", "deployments", template(2)).so("m1", "deployments", copy("m1", 2, 2)).shrink("m2", 2),
    ),
    "a dip below what was available": (
        "I2", lambda: settled(m1=2, m2=1).so("m1", "deployments", copy("m1", 2, 0)).so("m2", "deployments", copy("m2", 1, 1)),
    ),
    "a dip that never ends": ("I2", lambda: settled(m1=3).gone("m1", "deployments", copy("m1", 3))),
    "the old copy deleted before the new one is available": (
        "I3", lambda: settled(m1=2, m2=1).so("m3", "deployments", copy("m3", 2, 1)).delete("m1"),
    ),
    "the old copy shrunk before the new one is available": (
        "I3", lambda: settled(m1=3).so("m2", "deployments", copy("m2", 1, 0)).shrink("m1", 2),
    ),
    "the old copy deleted for availability of an earlier generation": (
        "I3",
        lambda: settled(m1=3).so("m2", "deployments", copy("m2", 3, 3, generation=2, observed=1)).delete("m1"),
    ),
    "the old copy deleted for availability of another image": (
        "I3",
        lambda: settled(m1=3).so("m2", "deployments", copy("m2", 3, 3, image="a"))
        .so("m2", "deployments", copy("m2", 3, 3, image="b", generation=2)).delete("m1"),
    ),
    "the old copy deleted for availability that nobody told us of": (
        "I3", lambda: settled(m1=3).so("m2", "deployments", copy("m2", 3, 3), told=False).delete("m1"),
    ),
    "a new process that deletes what its binding's lines do not vouch for": (
        "I3",
        lambda: settled(m1=1, m2=2).so("m3", "deployments", copy("m3", 1, 1, epoch=2)).note("started")
        .so("hub", "deployments", template()).so("hub", "resourcebindings", binding(3, {"m3": "available=0"}, m2=2, m3=1))
        .so("m1", "deployments", copy("m1", 1, 1)).delete("m1"),
    ),
    "the last available copy deleted": (
        "I4", lambda: settled(m1=3).so("m2", "deployments", copy("m2", 3, 0)).delete("m1"),
    ),
    "two decisions with one epoch": (
        "I5", lambda: settled(m1=3).so("hub", "resourcebindings", binding(m1=2, m2=1)),
    ),
    "an epoch that goes back": (
        "I5", lambda: settled(m1=3).so("hub", "resourcebindings", binding(4, m1=3)).so("hub", "resourcebindings", binding(3, m1=3)),
    ),
    "one epoch carried out twice": (
        "I5",
        lambda: settled(m1=3)
        .write("m1", "patch", "deployments", "web", answer=copy("m1", 3, epoch=2, generation=2))
        .write("m1", "patch", "deployments", "web", answer=copy("m1", 3, epoch=2, generation=3)),
    ),
    "one epoch that creates twice": (
        "I5",
        lambda: settled(m1=3)
        .write("m2", "patch", "deployments", "web", answer=copy("m2", 3, epoch=2, uid="a"))
        .write("m2", "patch", "deployments", "web", answer=copy("m2", 3, epoch=2, uid="b")),
    ),
    "a DELETE without a UID": ("I6", lambda: settled(m1=2, m2=1).delete("m1", uid="")),
    "a write to an object that is not ours": (
        "I6", lambda: settled(m1=3).so("m2", "deployments", copy("m2", 1, marked=False)).shrink("m2", 3),
    ),
    "a copy that outlives its template": (
        "I7",
        lambda: settled(m1=3).gone("hub", "deployments", GONE).gone("hub", "resourcebindings", binding(m1=3)).wait(61).note("look"),
    ),
    "a copy that outlives the return of its member": (
        "I7",
        lambda: settled(m1=3).note("cut", "m1").gone("hub", "deployments", GONE).gone("hub", "resourcebindings", binding(m1=3))
        .wait(100).note("healed", "m1").wait(61).note("look"),
    ),
    "a binding that outlives its template": ("I8", lambda: settled(m1=3).gone("hub", "deployments", GONE).note("quiet")),
    "a copy where none was decided": (
        "I8", lambda: settled(m1=3).so("m2", "deployments", copy("m2", 1)).note("quiet"),
    ),
    "a write though all is quiet": ("I12", lambda: settled(m1=3).note("quiet").shrink("m1", 3)),
    "a restart that writes": ("I12", lambda: settled(m1=3).note("quiet").note("started").shrink("m1", 3)),
    "FullyApplied with another number": ("I13", lambda: applied(settled(m1=3), 2, m1=2)),
    "FullyApplied without a copy": ("I13", lambda: applied(settled(m1=3), 2, m1=3, m2=0)),
    "FullyApplied beside a copy that must go": ("I13", lambda: applied(settled(m1=2, m2=1), 2, m1=2)),
    "a status of a generation that a member has not": (
        "I13", lambda: claims_generation(settled(m1=3).so("hub", "resourcebindings", binding(1, {"m1": "for=1"}, m1=3)), 2),
    ),
    "a deletion where the decision wants a copy": (
        "I14", lambda: settled(m1=3, m2=3).delete("m1"),
    ),
    "a deletion by a process that knows no binding": (
        "I14",
        lambda: settled(m1=3).note("started").so("hub", "deployments", template()).so("m1", "deployments", copy("m1", 3, 3)).delete("m1"),
    ),
}  # fmt: skip

GREEN: dict[str, Callable[[], Story]] = {
    "a move that makes before it breaks": lambda: (
        settled(m1=1, m2=2).so("hub", "resourcebindings", binding(2, m1=1, m2=2, m3=1)).so("m3", "deployments", copy("m3", 1, 1, epoch=2))
        .so("hub", "resourcebindings", binding(3, m2=2, m3=1)).delete("m1").gone("m1", "deployments", copy("m1", 1)).note("quiet")
    ),
    "a rescale up": lambda: (
        settled(m1=1, m2=2).so("hub", "deployments", template(6, generation=2)).so("hub", "resourcebindings", binding(2, m1=2, m2=4))
        .so("m1", "deployments", copy("m1", 2, 1, epoch=2)).so("m2", "deployments", copy("m2", 4, 4, epoch=2))
        .so("m1", "deployments", copy("m1", 2, 2, epoch=2)).note("quiet")
    ),
    "a rescale down": lambda: (
        settled(m1=2, m2=4).so("hub", "deployments", template(3)).so("hub", "resourcebindings", binding(2, m1=1, m2=2))
        .shrink("m1", 1, ready=2).shrink("m2", 2, ready=4).so("m1", "deployments", copy("m1", 1, 1, epoch=2))
        .so("m2", "deployments", copy("m2", 2, 2, epoch=2)).note("quiet")
    ),
    "a deletion": lambda: (
        settled(m1=1, m2=2).gone("hub", "deployments", GONE).delete("m1").delete("m2").gone("m1", "deployments", copy("m1", 1))
        .gone("m2", "deployments", copy("m2", 2)).gone("hub", "resourcebindings", binding(m1=1, m2=2)).note("quiet")
    ),
    "a deletion while a member is away": lambda: (
        settled(m1=3).note("cut", "m1").gone("hub", "deployments", GONE).gone("hub", "resourcebindings", binding(m1=3)).wait(200)
        .note("healed", "m1").wait(20).gone("m1", "deployments", copy("m1", 3)).note("quiet")
    ),
    "a copy that is taken over by its mark after a lost reply": lambda: (
        settled(m1=3).write("m2", "patch", "deployments", "web", answer=copy("m2", 1, epoch=2))
        .write("m2", "patch", "deployments", "web", answer=copy("m2", 1, epoch=2)).note("look")
    ),
    "events of two servers in another order": lambda: (
        settled(m1=3).gone("m1", "deployments", copy("m1", 3)).wait(-0.9).so("m2", "deployments", copy("m2", 3, 3)).note("look")
    ),
    "a new process that carries out what was decided on evidence": lambda: (
        settled(m1=1, m2=2).so("m3", "deployments", copy("m3", 1, 1, epoch=2)).note("started")
        .so("hub", "deployments", template()).so("hub", "resourcebindings", binding(3, {"m2": "available=2", "m3": "available=1"}, m2=2, m3=1))
        .so("m1", "deployments", copy("m1", 1, 1)).delete("m1").note("look")
    ),
    "a true claim": lambda: claims_generation(applied(settled(m1=3), 1, {"m1": "for=1"}, m1=3), 1).note("look"),
    "a failure past the deadline that is told of the current generation": lambda: (
        settled(m1=3).so("hub", "resourcebindings", binding(1, {"m1": "for=1 reason=Unreachable"}, m1=3)).write(
            "hub", "patch", "deployments", "web", subresource="status", answer=template(observed=2, failed=True)
        ).note("look")
    ),
    "an update that takes part of a copy down": lambda: (
        settled(m1=8).so("m1", "deployments", copy("m1", 8, 6, generation=2, observed=2)).so("m1", "deployments", copy("m1", 8, 8)).note("look")
    ),
    "a free write in the quiet": lambda: settled(m1=3).note("quiet").write("hub", "update", "leases", "federation-leader"),
}  # fmt: skip


@pytest.mark.parametrize("case", RED)
def test_a_violation_is_found(case: str) -> None:
    invariant, story = RED[case]
    found = list(CHECKS[invariant](story().entries))
    assert [one.invariant for one in found][:1] == [invariant]


@pytest.mark.parametrize("case", GREEN)
def test_what_is_right_is_not_called_a_violation(case: str) -> None:
    assert violations(GREEN[case]().entries) == []


def test_every_checker_is_shown_to_fail() -> None:
    assert {invariant for invariant, _ in RED.values()} == set(CHECKS)


def test_violations_come_in_the_order_of_the_journal() -> None:
    story = settled(m1=3).so("m2", "deployments", copy("m2", 3, 0)).delete("m1", uid="").note("look")
    assert [one.invariant for one in violations(story.entries)] == ["I1", "I3", "I4", "I6", "I14", "I2"]
