"""`federation` with one thing changed, for tests of replicas: `python -m tests.e2e.variants VARIANT hub ...`."""

import http.client
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from federation.api import crds
from federation.app import main
from federation.hub.execute import render
from federation.kube.transport import AioTransport, Response

log = logging.getLogger("federation.variant")


def newer() -> None:
    """The next version of ours: a newer schema, and renderings that hash differently."""
    short_hash = render.short_hash
    crds.SCHEMA_VERSION += 1
    render.short_hash = lambda text: short_hash(f"newer {text}")


def freezing() -> None:
    """It stops itself (SIGSTOP) when its first DELETE of a Deployment has passed every check; SIGCONT lets the bytes go.

    What is sent then is sent at once and whatever happens to the process, as bytes that the kernel had already.
    """
    send = AioTransport._send

    async def sent(
        self: AioTransport, method: str, path: str, body: bytes | None, content_type: str | None, accept: str | None,
        limit: float | None,
    ) -> Response:  # fmt: skip
        if method != "DELETE" or "/deployments/" not in path:
            return await send(self, method, path, body, content_type, accept, limit)
        AioTransport._send = send  # type: ignore[method-assign]
        os.kill(os.getpid(), signal.SIGSTOP)
        endpoint = urlsplit(self._base)
        connection = http.client.HTTPSConnection(
            endpoint.hostname or "", endpoint.port, context=self._credentials.ssl_context
        )
        connection.request(method, path, body, self._headers(content_type, accept))
        answer = connection.getresponse()
        log.info("the late DELETE was answered %d", answer.status)
        return Response(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())

    AioTransport._send = sent  # type: ignore[method-assign]


VARIANTS: dict[str, Callable[[], Any]] = {"newer": newer, "freezing": freezing}

if __name__ == "__main__":
    VARIANTS[sys.argv[1]]()
    main(args=sys.argv[2:])
