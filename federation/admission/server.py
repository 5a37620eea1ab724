"""The webhook server: HTTPS in, a pure review, an answer out. Bounded in size, time and number; it tells nobody its insides.

An error of ours is answered with 500, which an API server treats as the webhook's failurePolicy says. A certificate is
exchanged while connections go on: new handshakes get the new one.
"""

import asyncio
import logging
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import orjson
from aiohttp import web
from prometheus_client import Counter, Gauge, Histogram

from federation.admission.registration import PATH
from federation.admission.review import Malformed, Request, Snapshot, answer, request_of
from federation.admission.reviews import is_reviewed, label_of, review

log = logging.getLogger(__name__)

BODY_LIMIT: Final = 8 * 2**20
"""Bytes. A review holds an object before and after; an API server takes requests of up to 3 MiB."""
BODY_SECONDS: Final = 2.0
"""A body that takes longer comes too late: its API server has gone on."""
AT_ONCE: Final = 16
"""Bodies read at the same time; more are turned away, so that whoever reaches the port cannot fill the memory."""

REVIEWS = Counter("federation_admission_reviews_total", "Answered admission reviews.", ["resource", "answer"])
SECONDS = Histogram(
    "federation_admission_review_seconds", "Time of one review, without the network.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0),
)  # fmt: skip
CERTIFICATE_END = Gauge(
    "federation_admission_certificate_end_seconds", "When the serving certificate ends, since the epoch."
)

_silent = logging.getLogger(f"{__name__}.http")
# What aiohttp says of broken requests (a port is open to more than API servers) is no error of ours; ours are caught below.
_silent.setLevel(logging.CRITICAL)


class AdmissionServer:
    """An async context manager that serves while it is entered. `load` a certificate first, and again whenever it is renewed."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        snapshot: Callable[[Request], Snapshot],
        foretell: Callable[[Request], Awaitable[tuple[str, ...]]],
    ) -> None:
        """`snapshot`: what reviews may look at. `foretell`: what an allowed change would do, as warnings."""
        self.port = port
        self._host = host
        self._snapshot = snapshot
        self._foretell = foretell
        self._reading = asyncio.Semaphore(AT_ONCE)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._runner: web.AppRunner | None = None

    def load(self, certificate: bytes, key: bytes) -> None:
        """Serve with this certificate from the next handshake on. Raises ssl.SSLError for what is no pair."""
        # The ssl module reads pairs from files only: a private one, gone again at once.
        with tempfile.NamedTemporaryFile(prefix="federation-") as file:
            file.write(certificate.rstrip() + b"\n" + key)
            file.flush()
            self._tls.load_cert_chain(Path(file.name))

    async def __aenter__(self) -> Self:
        """Raises OSError where it cannot listen."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.add_routes([web.post(PATH, self._review), web.get("/healthz", self._healthz)])
        self._runner = web.AppRunner(app, access_log=None, logger=_silent)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port, ssl_context=self._tls).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _review(self, request: web.Request) -> web.Response:
        if self._reading.locked():
            return _failed("busy", 503, "too many reviews at once")
        try:
            async with self._reading, asyncio.timeout(BODY_SECONDS):
                body = await request.read()
        except TimeoutError:
            return _failed("slow", 408, "the body came too slowly")
        except web.HTTPRequestEntityTooLarge:
            return _failed("large", 413, f"a body has at most {BODY_LIMIT} bytes")
        try:
            return await self._answer(body)
        except (Malformed, orjson.JSONDecodeError) as error:
            return _failed("malformed", 400, str(error) if isinstance(error, Malformed) else "the body is not JSON")
        except Exception:
            log.exception("a review failed")
            return _failed("failed", 500, "the review failed; the log of the hub process says why")

    async def _answer(self, body: bytes) -> web.Response:
        with SECONDS.time():
            question = request_of(orjson.loads(body))
            found = review(question, self._snapshot(question))
            if found.allowed and is_reviewed(question):
                found = replace(found, plan=await self._foretell(question))
        result = "denied" if not found.allowed else "warned" if found.warnings or found.plan else "allowed"
        REVIEWS.labels(label_of(question), result).inc()
        if not found.allowed:
            rules = ", ".join(sorted({violation.rule for violation in found.violations}))
            log.info("refused %s %s/%s: %s", question.resource, question.namespace, question.name, rules)
        return web.Response(body=orjson.dumps(answer(question, found)), content_type="application/json")


def _failed(result: str, status: int, text: str) -> web.Response:
    REVIEWS.labels("none", result).inc()
    return web.Response(status=status, text=text)
