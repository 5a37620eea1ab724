"""A fence in front of an API server: what could change something is sent only while our right to it outlasts the request.

A lease says for how long we are certainly its holder; a request that may arrive later than that belongs to somebody else.
What still arrives late (a frozen process, a slow network) fails on the resourceVersion that it carries.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from federation.kube.errors import Unavailable
from federation.kube.transport import Response, Stream, Transport

_READS = frozenset({"GET", "HEAD"})


class Fenced(Unavailable):
    """The request was not sent: the lease that allows it may end before the request does."""


class FencedTransport:
    """A Transport whose writes need `held_for() > timeout`, and end after `timeout` seconds; 0 means no time-out of its own."""

    def __init__(self, inner: Transport, *, held_for: Callable[[], float], timeout: float) -> None:
        self.in_flight = 0
        """Writes that were sent and not answered yet."""
        self._inner = inner
        self._held_for = held_for
        self._timeout = timeout

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str | None = None,
        accept: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - see Transport
    ) -> Response:
        """One request; see Transport. Raises Fenced."""
        if method in _READS:
            return await self._inner.request(
                method, path, body=body, content_type=content_type, accept=accept, timeout=timeout
            )
        limit = timeout or self._timeout
        left = self._held_for()
        if left <= limit:
            raise Fenced(0, "Fenced", f"not sent: the lease for it is certain for {left:.1f} s only")
        self.in_flight += 1
        try:
            # Over all that the transport may do for one request, as sending it again with fresh credentials.
            async with asyncio.timeout(limit or None):
                return await self._inner.request(
                    method, path, body=body, content_type=content_type, accept=accept, timeout=limit or None
                )
        except TimeoutError as error:
            raise Unavailable(0, "Timeout", f"no answer within {limit:.0f} s") from error
        finally:
            self.in_flight -= 1

    def stream(self, path: str, *, accept: str | None = None) -> AbstractAsyncContextManager[Stream]:
        """A GET whose answer is read as it comes; see Transport."""
        return self._inner.stream(path, accept=accept)

    async def close(self) -> None:
        """Close the connections."""
        await self._inner.close()
