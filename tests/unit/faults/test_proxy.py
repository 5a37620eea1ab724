"""The fault proxy in front of a server that counts: what reaches it, what the client gets, what the journal says."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web
from yarl import URL

from hack.lab.pki import Authority
from tests.faults.journal import Answered, Asked, Journal, Note, Told
from tests.faults.proxy import Proxy
from tests.faults.rules import DROP, Answer, Phase, Request, Rule, Rules

WEB = "/apis/apps/v1/namespaces/shop/deployments/web"
ALL = "/apis/apps/v1/deployments"


def object_named(name: str, version: int) -> dict:
    return {"metadata": {"namespace": "shop", "name": name, "uid": f"u-{name}", "resourceVersion": str(version)}}


class Upstream:
    """An API server that says what it was asked and streams what it is fed."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.tokens: list[str] = []
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.raw_path}")
        self.tokens.append(request.headers.get("Authorization", ""))
        if "watch" in request.query:
            answer = web.StreamResponse()
            await answer.prepare(request)
            while (line := await self.lines.get()) is not None:
                await answer.write(line)
            await answer.write_eof()
            return answer
        if request.method == "GET" and request.path == ALL:
            return web.json_response({"items": [object_named("a", 1), object_named("b", 2)]})
        return web.json_response(object_named("web", 7))

    def tell(self, change: str, name: str, version: int) -> None:
        self.lines.put_nowait(orjson.dumps({"type": change, "object": object_named(name, version)}) + b"\n")


class Setting:
    def __init__(
        self, upstream: Upstream, proxy: Proxy, rules: Rules, journal: Journal, session: aiohttp.ClientSession
    ):
        self.upstream, self.proxy, self.rules, self.journal, self.session = upstream, proxy, rules, journal, session

    async def ask(self, method: str = "PATCH", path: str = WEB) -> int:
        async with self.session.request(method, self.proxy.url + path, data=b'{"spec": {"replicas": 3}}') as answer:
            await answer.read()
            return answer.status


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    upstream, rules, journal = Upstream(), Rules(), Journal()
    runner = web.ServerRunner(web.Server(upstream.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    proxy = Proxy(server="member1", upstream=upstream.url, rules=rules, journal=journal)
    await proxy.start()
    async with aiohttp.ClientSession() as session:
        yield Setting(upstream, proxy, rules, journal, session)
    upstream.lines.put_nowait(None)
    await proxy.stop()
    await runner.cleanup()


def acts(value: object):
    async def action(_request: Request):
        return value

    return action


async def test_requests_pass_with_path_query_and_token_and_are_journalled(setting: Setting) -> None:
    async with setting.session.patch(
        URL(f"{setting.proxy.url}{WEB}?fieldManager=a%2Fb", encoded=True),
        data=b'{"x": 1}',
        headers={"Authorization": "Bearer t"},
    ) as answer:
        assert (answer.status, await answer.json()) == (200, object_named("web", 7))
    assert setting.upstream.asked == [f"PATCH {WEB}?fieldManager=a%2Fb"]
    assert setting.upstream.tokens == ["Bearer t"]
    asked, answered = setting.journal.entries
    assert isinstance(asked, Asked)
    assert (asked.number, asked.request.body, asked.request.verb) == (1, {"x": 1}, "patch")
    assert isinstance(answered, Answered)
    assert (answered.status, answered.object) == (200, object_named("web", 7))


async def test_writes_are_numbered_and_reads_are_not(setting: Setting) -> None:
    await setting.ask("PATCH")
    await setting.ask("GET")
    await setting.ask("DELETE")
    assert [entry.number for entry in setting.journal.entries if isinstance(entry, Asked)] == [1, 0, 2]


async def test_a_request_dropped_before_never_arrives(setting: Setting) -> None:
    setting.rules.add(Rule(action=acts(DROP)))
    with pytest.raises(aiohttp.ClientError):
        await setting.ask()
    assert setting.upstream.asked == []
    assert await setting.ask() == 200


async def test_a_reply_dropped_after_the_commit_was_a_write(setting: Setting) -> None:
    setting.rules.add(Rule(action=acts(DROP), phase=Phase.AFTER))
    with pytest.raises(aiohttp.ClientError):
        await setting.ask()
    assert len(setting.upstream.asked) == 1
    assert isinstance(setting.journal.entries[-1], Answered)


@pytest.mark.parametrize(("phase", "arrived"), [(Phase.BEFORE, 0), (Phase.AFTER, 1)])
async def test_an_answer_of_ours_takes_the_place_of_the_servers(setting: Setting, phase: Phase, arrived: int) -> None:
    setting.rules.add(Rule(action=acts(Answer(status=429, reason="TooManyRequests", retry_after=3)), phase=phase))
    async with setting.session.patch(setting.proxy.url + WEB, data=b"{}") as answer:
        body = await answer.json()
        assert (answer.status, answer.headers["Retry-After"], body["code"]) == (429, "3", 429)
    assert len(setting.upstream.asked) == arrived


async def test_a_write_that_was_forwarded_is_finished_when_the_client_dies(setting: Setting) -> None:
    async def die(_request: Request):
        setting.proxy.reset()
        await asyncio.sleep(0)

    setting.rules.add(Rule(action=die))
    with pytest.raises(aiohttp.ClientError):
        await setting.ask()
    await asyncio.sleep(0.05)
    assert len(setting.upstream.asked) <= 1  # the reset may win; what was forwarded is journalled as answered
    answered = [entry for entry in setting.journal.entries if isinstance(entry, Answered)]
    assert len(answered) == len(setting.upstream.asked)


async def test_list_and_watch_are_told_item_by_item(setting: Setting) -> None:
    await setting.ask("GET", ALL)
    setting.upstream.tell("MODIFIED", "a", 3)
    async with setting.session.get(f"{setting.proxy.url}{ALL}?watch=true") as answer:
        assert orjson.loads(await answer.content.readline())["object"] == object_named("a", 3)
    told = [entry for entry in setting.journal.entries if isinstance(entry, Told)]
    assert [(one.change, (one.object or {}).get("metadata", {}).get("name")) for one in told] == [
        ("LISTED", None), ("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"),
    ]  # fmt: skip


async def test_a_frozen_watch_keeps_its_lines_and_its_connection_until_it_thaws(setting: Setting) -> None:
    thawed = asyncio.Event()

    async def freeze(_request: Request):
        await thawed.wait()

    setting.rules.add(Rule(action=freeze, phase=Phase.LINE, verb="watch", budget=0))
    async with setting.session.get(f"{setting.proxy.url}{ALL}?watch=true") as answer:
        setting.upstream.tell("ADDED", "a", 1)
        setting.upstream.tell("DELETED", "a", 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(answer.content.readline(), 0.1)
        assert not [entry for entry in setting.journal.entries if isinstance(entry, Told)]
        thawed.set()
        changes = [orjson.loads(await answer.content.readline())["type"] for _ in range(2)]
    assert changes == ["ADDED", "DELETED"]


async def test_a_watch_can_end_with_an_error_line_and_break_in_the_middle_of_a_line(setting: Setting) -> None:
    setting.rules.add(Rule(action=acts(Answer(status=410, reason="Expired")), phase=Phase.LINE))
    setting.upstream.tell("ADDED", "a", 1)
    async with setting.session.get(f"{setting.proxy.url}{ALL}?watch=true") as answer:
        event = orjson.loads(await answer.content.readline())
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
        assert await answer.content.read() == b""
    setting.rules.add(Rule(action=acts(DROP), phase=Phase.LINE))
    setting.upstream.lines.put_nowait(None)
    setting.upstream.tell("ADDED", "a", 1)
    async with setting.session.get(f"{setting.proxy.url}{ALL}?watch=true") as answer:
        with pytest.raises(aiohttp.ClientError):
            await answer.content.read()


async def test_a_refused_partition_fails_at_once_and_a_black_hole_does_not_answer(setting: Setting) -> None:
    await setting.proxy.cut(refuse=True)
    with pytest.raises(aiohttp.ClientError):
        await setting.ask()
    await setting.proxy.heal()
    assert await setting.ask() == 200
    await setting.proxy.cut(refuse=False)
    asking = asyncio.ensure_future(setting.ask())
    await asyncio.wait({asking}, timeout=0.1)
    assert not asking.done()
    await setting.proxy.heal()
    assert await asking == 200
    assert [entry.text for entry in setting.journal.entries if isinstance(entry, Note)] == ["cut", "healed"] * 2


async def test_tls_ends_at_the_proxy(tmp_path: Path, setting: Setting) -> None:
    authority = Authority(tmp_path)
    authority.issue("proxy", user="proxy", hosts=("127.0.0.1",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "proxy.crt", tmp_path / "proxy.key")
    proxy = Proxy(
        server="hub", upstream=setting.upstream.url, rules=setting.rules, journal=setting.journal, listen_ssl=context
    )
    await proxy.start()
    try:
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
        async with setting.session.get(f"{proxy.url}{WEB}", ssl=trust) as answer:
            assert (proxy.url[:5], answer.status) == ("https", 200)
    finally:
        await proxy.stop()
