"""Admission over real TLS, the hub in process: what a client that trusts the published bundle is told, and when it is renewed."""

import asyncio
import datetime as dt
import io
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from federation.admission import Admission, foretell, server, withdraw
from federation.admission.certificates import SERVING, Lifetimes
from federation.admission.registration import CONFIGURATION, bundle_of
from federation.admission.review import API_VERSION
from federation.admission.run import SECRET
from federation.api.meta import SYSTEM_NAMESPACE
from federation.hub.brake_window import Limits
from federation.hub.caches import HubCaches
from federation.hub.kinds import Kinds
from federation.kube.client import Client
from federation.kube.resource import PROPAGATION_POLICIES, SECRETS, VALIDATING_WEBHOOKS
from tests.e2e.manifests import aggregated, deployment, on, policy, selector
from tests.integration.federation import PLACE, Federation, always, eventually

Manifest = dict[str, Any]
URL = "https://127.0.0.1:9443"
"""What API servers would call; here the port is any free one."""


def question(manifest: Manifest, plural: str = "propagationpolicies") -> Manifest:
    resource = {"group": manifest["apiVersion"].rpartition("/")[0], "version": "v1alpha1", "resource": plural}
    request = {
        "uid": "q1", "resource": resource, "operation": "CREATE", "object": manifest,
        "namespace": manifest["metadata"].get("namespace", ""), "userInfo": {"username": "one"},
    }  # fmt: skip
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "request": request}


GOOD = policy("p", PLACE, selector(name="web"), placement=on("member1"))
BAD = policy("p", PLACE, {**selector(name="web"), "namespace": "theirs"})


@dataclass
class Hub:
    """A hub with the objects of deploy/, and processes on it."""

    fed: Federation
    group: asyncio.TaskGroup
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def process(
        self, *, leads: bool = True, port: int = 0, templates: bool = False, **arguments: Any
    ) -> Admission:
        """A hub process as far as admission goes; returns once its caches are synced. `templates`: it follows them too."""
        caches = HubCaches(Client(self.fed.hub.transport(), name="hub"), hub_id="hub")
        self.tasks.append(self.group.create_task(caches.run()))
        await caches.synced()
        if templates:
            self.tasks.append(self.group.create_task(Kinds(caches, self.fed.settings).run()))
        admission = Admission(caches, url=URL, host="127.0.0.1", port=port, **arguments)
        self.tasks.append(self.group.create_task(admission.serve()))
        if leads:
            self.tasks.append(self.group.create_task(admission.keep()))
        return admission

    async def serving(self, **arguments: Any) -> Admission:
        """A leading process that answers, and whose webhooks are registered."""
        admission = await self.process(**arguments)
        await eventually(lambda: admission.port and self.webhooks())
        return admission

    def webhooks(self) -> list[Manifest]:
        (found,) = self.fed.hub.objects("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
        return found.get("webhooks") or []

    def secret(self) -> Manifest:
        found = self.fed.hub.objects("v1", "Secret", SYSTEM_NAMESPACE)
        return next(one.get("data") or {} for one in found if one["metadata"]["name"] == SECRET)

    def writes(self) -> int:
        return sum(one.method != "GET" for one in self.fed.hub.requests)

    def client(self) -> aiohttp.ClientSession:
        """An API server's connection: it trusts what is registered at this moment, and nothing else."""
        tls = ssl.create_default_context(cadata=bundle_of(self.webhooks()).decode())
        tls.verify_flags |= ssl.VERIFY_X509_STRICT
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, force_close=True))

    async def ask(self, admission: Admission, body: Any, **arguments: Any) -> tuple[int, Any]:
        """Status and answer over a connection of its own."""
        sent = {"data": io.BytesIO(body)} if isinstance(body, bytes) else {"json": body}
        address = f"https://127.0.0.1:{admission.port}/review"
        async with self.client() as session, session.post(address, **sent, **arguments) as response:
            text = await response.text()
            return response.status, (await response.json() if response.status == 200 else text)


@asynccontextmanager
async def hub(*, deployed: bool = True, members: int = 1) -> AsyncIterator[Hub]:
    fed = Federation(members)
    await fed.prepare()
    if deployed:
        metadata = {"name": SECRET, "namespace": SYSTEM_NAMESPACE}
        await fed.client.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
        await fed.client.create(VALIDATING_WEBHOOKS, {
            "apiVersion": VALIDATING_WEBHOOKS.api_version, "kind": VALIDATING_WEBHOOKS.kind, "metadata": {"name": CONFIGURATION},
        })  # fmt: skip
    async with asyncio.TaskGroup() as group:
        found = Hub(fed, group)
        try:
            yield found
        finally:
            for task in found.tasks:
                task.cancel()
    await fed.close()


# --- answers -----------------------------------------------------------------------------------------------------------


async def test_a_client_that_trusts_what_is_registered_gets_its_verdict() -> None:
    async with hub() as found:
        admission = await found.serving()
        status, answer = await found.ask(admission, question(GOOD))
        assert (status, answer["response"]) == (200, {"uid": "q1", "allowed": True})
        _, answer = await found.ask(admission, question(BAD))
        assert answer["response"]["allowed"] is False
        assert "spec.resourceSelectors[0].namespace" in answer["response"]["status"]["message"]


async def test_reviews_know_what_the_hub_holds() -> None:
    async with hub() as found:
        admission = await found.serving()
        far = policy("p", PLACE, selector("Gizmo", "x", api="gizmos.test/v1"), placement=on("member9"))
        _, answer = await found.ask(admission, question(far))
        told = "\n".join(answer["response"]["warnings"])
        assert "there is no cluster member9" in told
        assert "the hub serves no kind Gizmo" in told
        twin = {
            "apiVersion": "federation.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "twin"},
            "spec": {"syncMode": "Push", "apiEndpoint": "http://member1.test", "secretRef": {"name": "none"}},
        }  # fmt: skip
        _, answer = await found.ask(admission, question(twin, "clusters"))
        assert "that of cluster member1" in answer["response"]["status"]["message"]
        await found.fed.client.create(PROPAGATION_POLICIES, {**GOOD, "metadata": {**GOOD["metadata"], "name": "a"}})

        async def rival() -> bool:
            _, again = await found.ask(admission, question(GOOD))
            return "selects exactly the same" in "\n".join(again["response"].get("warnings", []))

        end = time.monotonic() + 5
        while not await rival():
            assert time.monotonic() < end


async def test_nobody_else_s_client_takes_us_for_somebody() -> None:
    async with hub() as found:
        admission = await found.serving()
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.post(f"https://127.0.0.1:{admission.port}/review", json=question(GOOD))


async def test_every_replica_serves_what_the_leader_made() -> None:
    async with hub() as found:
        follower = await found.process(leads=False)
        assert follower.port == 0, "there is nothing to serve with yet"
        await found.serving()
        await eventually(lambda: follower.port)
        assert (await found.ask(follower, question(GOOD)))[0] == 200


# --- what a change of a policy would do --------------------------------------------------------------------------------


def edited(old: Manifest, placement: Manifest) -> Manifest:
    return {**old, "spec": {**old["spec"], "placement": placement}}


def about(new: Manifest | None, old: Manifest | None, **request: Any) -> Manifest:
    """The review of an update or, without a new object, of a deletion."""
    asked = question(new or old or {})
    operation = "DELETE" if new is None else "UPDATE" if old is not None else "CREATE"
    return {
        **asked,
        "request": {**asked["request"], "operation": operation, "object": new, "oldObject": old, **request},
    }


@asynccontextmanager
async def placed(count: int, **arguments: Any) -> AsyncIterator[tuple[Hub, Admission, Manifest]]:
    """A hub whose policy `p` has placed so many Deployments of two replicas on member1; the policy as it is stored."""
    async with hub(members=2) as found:
        fed = found.fed
        await fed.start()
        names = [f"w{number}" for number in range(count)]
        await fed.apply(policy("p", PLACE, selector(), placement=on("member1", **aggregated())))
        await fed.apply(*(deployment(name, PLACE, 2) for name in names))
        await eventually(lambda: all(fed.replicas(name) == {"member1": 2} for name in names))
        await fed.quiet()
        admission = await found.serving(templates=True, **arguments)
        (stored,) = fed.hub.objects(PROPAGATION_POLICIES.api_version, "PropagationPolicy", PLACE)
        await _known(found, admission, stored)
        yield found, admission, stored


async def _known(found: Hub, admission: Admission, stored: Manifest) -> None:
    """Return once the process has listed the templates: until then it says that it could not look at them."""
    end = time.monotonic() + 5
    while "could be looked at" in await warned(found, admission, edited(stored, on("member2")), stored):
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def warned(found: Hub, admission: Admission, new: Manifest | None, old: Manifest | None, **request: Any) -> str:
    status, answer = await found.ask(admission, about(new, old, **request))
    assert (status, answer["response"]["allowed"]) == (200, True)
    return "\n".join(answer["response"].get("warnings", []))


async def test_an_update_that_moves_more_than_the_brake_lets_pass_is_answered_with_the_plan_and_is_what_happens() -> (
    None
):
    async with placed(7) as (found, admission, stored):
        moved = edited(stored, on("member2", **aggregated()))
        said = await warned(found, admission, moved, stored)
        assert said.startswith(
            "7 copies with 14 replicas of 7 workloads go or shrink with this change; the brake lets 5 pass in 60 s"
        )
        assert f"Deployment {PLACE}/w0: member1 2 -> 0, member2 0 -> 2\n" in said
        assert "\nand 2 more\n" in said
        assert "fedctl get held" in said
        assert await warned(found, admission, moved, stored, dryRun=True) == said
        assert found.fed.replicas("w0") == {"member1": 2}, "asking changes nothing"
        await found.fed.apply(policy("p", PLACE, selector(), placement=on("member2", **aggregated())))
        await eventually(lambda: all(found.fed.replicas(f"w{number}") == {"member2": 2} for number in range(7)))


async def test_an_update_within_the_brake_or_that_moves_nothing_is_answered_without_a_word() -> None:
    async with placed(3) as (found, admission, stored):
        assert await warned(found, admission, edited(stored, on("member2", **aggregated())), stored) == ""
    async with placed(7, limits=Limits(objects=0, percent=100.0), managed=lambda: 7) as (found, admission, stored):
        assert await warned(found, admission, edited(stored, on("member2", **aggregated())), stored) == ""
        assert await warned(found, admission, {**stored, "spec": {**stored["spec"], "priority": 3}}, stored) == ""


async def test_a_deletion_is_told_about_where_another_policy_takes_over_and_only_there() -> None:
    async with placed(7) as (found, admission, stored):
        assert await warned(found, admission, None, stored) == "", "deleting a policy moves nothing (I21)"
        other = policy("q", PLACE, selector(), placement=on("member2", **aggregated()))
        await found.fed.apply(other)
        end = time.monotonic() + 5
        while "7 copies with 14 replicas" not in (said := await warned(found, admission, None, stored)):
            assert time.monotonic() < end, said
        assert "member1 2 -> 0, member2 0 -> 2" in said
        await found.fed.delete("PropagationPolicy", "p")
        await eventually(lambda: all(found.fed.replicas(f"w{number}") == {"member2": 2} for number in range(7)))


async def test_a_policy_that_takes_objects_by_name_is_told_what_they_lose() -> None:
    async with placed(7) as (found, admission, _):
        names = [selector(name=f"w{number}") for number in range(7)]
        taking = policy("q", PLACE, *names, placement=on("member2", **aggregated()), preemption="Always", priority=5)
        taking["metadata"]["uid"] = "given by the API server"
        assert "7 copies with 14 replicas of 7 workloads" in await warned(found, admission, taking, None)
        everything = {**taking, "spec": {**taking["spec"], "preemption": "Never"}}
        assert "copies" not in await warned(found, admission, everything, None)


async def test_what_is_not_looked_at_in_time_is_said_and_the_change_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with placed(7) as (found, admission, stored):
        monkeypatch.setattr(foretell, "SECONDS", 0.0)
        said = await warned(found, admission, edited(stored, on("member2", **aggregated())), stored)
        assert "of 7 workloads could be looked at in time" in said


async def test_an_error_while_foretelling_is_the_log_s_business_and_the_change_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with placed(1) as (found, admission, stored):
        monkeypatch.setattr(foretell, "touched", None)
        said = await warned(found, admission, edited(stored, on("member2")), stored)
        assert said == "what this change moves could not be foretold; the log of the hub process says why"


# --- what comes to an open port ----------------------------------------------------------------------------------------


WRONG: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "no JSON": (b"\x00\xff{", 400),
    "JSON that is no review": (b"[1, 2]", 400),
    "a review without a request": (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', 400),
    "a body without end": (b"x" * (server.BODY_LIMIT + 1), 413),
    "JSON of a depth that ends parsers": (b"[" * 100_000, 400),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_body_is_told_so_in_a_line_and_the_next_one_is_answered(name: str) -> None:
    body, wanted = WRONG[name]
    async with hub() as found:
        admission = await found.serving()
        status, text = await found.ask(admission, body)
        assert status == wanted
        assert len(text) < 200
        assert "Traceback" not in text
        assert (await found.ask(admission, question(GOOD)))[0] == 200


async def test_a_body_that_comes_too_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_SECONDS", 0.1)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    async with hub() as found:
        admission = await found.serving()
        async with found.client() as session:
            began = time.monotonic()
            async with session.post(f"https://127.0.0.1:{admission.port}/review", data=slowly()) as response:
                assert response.status == 408
            assert time.monotonic() - began < 3


async def test_more_at_once_than_the_memory_is_meant_for_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "AT_ONCE", 1)
    go_on = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        yield b"{"
        await go_on.wait()
        yield b"}"

    async with hub() as found:
        admission = await found.serving()
        async with found.client() as session:
            first = asyncio.create_task(_status(session, admission, waiting()))
            end = time.monotonic() + 5
            while (await found.ask(admission, question(GOOD)))[0] != 503:
                assert time.monotonic() < end
            go_on.set()
            assert await first == 400
        assert (await found.ask(admission, question(GOOD)))[0] == 200


async def _status(session: aiohttp.ClientSession, admission: Admission, body: AsyncIterator[bytes]) -> int:
    async with session.post(f"https://127.0.0.1:{admission.port}/review", data=body) as response:
        return response.status


async def test_an_error_of_ours_is_the_log_s_business_and_the_webhook_s_failure_policy() -> None:
    broken = question({"apiVersion": "federation.dev/v1alpha1", "metadata": {}, "spec": {"resourceSelectors": []}})
    logger = logging.getLogger("federation.admission.server")
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        async with hub() as found:
            admission = await found.serving()
            status, text = await found.ask(admission, broken)
    finally:
        logger.removeHandler(handler)
    assert (status, text) == (500, "the review failed; the log of the hub process says why")
    assert any(record.exc_info for record in seen)


async def test_only_one_path_takes_reviews_and_plain_http_gets_nothing() -> None:
    async with hub() as found:
        admission = await found.serving()
        address = f"https://127.0.0.1:{admission.port}"
        async with found.client() as session:
            assert (await session.get(f"{address}/healthz")).status == 200
            assert (await session.get(f"{address}/review")).status == 405
            assert (await session.post(f"{address}/metrics", json={})).status == 404
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.post(f"http://127.0.0.1:{admission.port}/review", json=question(GOOD))
        assert (await found.ask(admission, question(GOOD)))[0] == 200


async def test_a_port_that_is_taken_holds_up_nothing_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("federation.admission.run.RETRY", 0.05)
    async with hub() as found:
        first = await found.serving()
        second = await found.process(port=first.port)
        await always(lambda: not any(task.done() for task in found.tasks), seconds=0.3)
        for task in found.tasks[:3]:
            task.cancel()
        await asyncio.wait(found.tasks[:3])
        status = 0
        end = time.monotonic() + 5
        while status != 200:
            assert time.monotonic() < end
            try:
                status, _ = await found.ask(second, question(GOOD))
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)


# --- certificates and registration -------------------------------------------------------------------------------------


async def test_no_request_fails_while_certificates_and_authorities_are_renewed() -> None:
    """A certificate lives for three seconds here and an authority for six; API servers know a bundle at once."""
    second = dt.timedelta(seconds=1)
    lifetimes = Lifetimes(authority=6 * second, serving=3 * second, settle=0.3 * second)
    async with hub() as found:
        admission = await found.serving(lifetimes=lifetimes, period=0.1)
        bundles, certificates = set(), set()
        end = time.monotonic() + 9
        while time.monotonic() < end:
            status, answer = await found.ask(admission, question(GOOD))
            assert (status, answer["response"]["allowed"]) == (200, True)
            bundles.add(bundle_of(found.webhooks()))
            certificates.add(found.secret()[SERVING])
        assert len(bundles) >= 3, "one, both, and the next one"
        assert len(certificates) >= 4


async def test_a_first_start_is_two_writes_and_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with hub() as found:
        before = found.writes()
        await found.serving()
        await asyncio.sleep(0.2)
        assert found.writes() == before + 2, "the Secret and the registration"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_settled_hub_is_not_written_to_nor_by_a_process_that_starts_again() -> None:
    async with hub() as found:
        await found.serving(period=0.02)
        await asyncio.sleep(0.1)
        before = found.writes()
        await always(lambda: found.writes() == before, seconds=0.3)
        await found.serving()
        await always(lambda: found.writes() == before, seconds=0.3)


async def test_what_somebody_changes_in_the_registration_is_set_back() -> None:
    async with hub() as found:
        await found.serving()
        wanted = found.webhooks()
        closed = [{**one, "failurePolicy": "Fail"} for one in wanted]
        for change in (closed, [], wanted[:1]):
            await found.fed.client.merge_patch(VALIDATING_WEBHOOKS, CONFIGURATION, None, {"webhooks": change})
            await eventually(lambda: found.webhooks() == wanted)


async def test_a_secret_that_somebody_empties_is_made_anew_served_and_registered() -> None:
    async with hub() as found:
        admission = await found.serving()
        before = bundle_of(found.webhooks())
        await found.fed.client.merge_patch(SECRETS, SECRET, SYSTEM_NAMESPACE, {"data": None})
        await eventually(lambda: bundle_of(found.webhooks()) not in (before, b""))
        assert (await found.ask(admission, question(GOOD)))[0] == 200


async def test_without_the_objects_of_deploy_nothing_is_made_and_the_process_goes_on() -> None:
    async with hub(deployed=False) as found:
        before = found.writes()
        await found.process(period=0.02)
        await always(lambda: not any(task.done() for task in found.tasks), seconds=0.3)
        assert found.writes() == before


async def test_a_process_without_admission_withdraws_what_an_earlier_one_registered_and_else_writes_nothing() -> None:
    async with hub() as found:
        await found.serving()
        for task in found.tasks:
            task.cancel()
        await asyncio.wait(found.tasks)
        await withdraw(found.fed.client)
        assert found.webhooks() == []
        before = found.writes()
        await withdraw(found.fed.client)
        assert found.writes() == before
    async with hub(deployed=False) as found:
        await withdraw(found.fed.client)
