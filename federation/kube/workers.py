"""Workers over a queue: errors are per key and retried; a worker never dies of one bad object."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from federation.kube.errors import ApiError
from federation.kube.metrics import QUEUE_DEPTH, RECONCILES
from federation.kube.queue import QueueClosed, WorkQueue

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
Reconcile = Callable[[K], Awaitable[float | None]]


async def run_workers(queue: WorkQueue[K], reconcile: Reconcile[K], *, workers: int, name: str) -> None:
    """Work until cancelled or the queue closes.

    `reconcile` returns seconds after which it wants the key again, or None. What it raises is logged and retried.
    """
    depth = QUEUE_DEPTH.labels(name)
    depth.set_function(lambda: len(queue))
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(_work(queue, reconcile, name), name=f"{name}-{number}")


async def _work(queue: WorkQueue[K], reconcile: Reconcile[K], name: str) -> None:
    succeeded, failed = RECONCILES.labels(name, "ok"), RECONCILES.labels(name, "error")
    while True:
        try:
            key = await queue.get()
        except QueueClosed:
            return
        try:
            again = await reconcile(key)
        except ApiError as error:
            failed.inc()
            level = logging.INFO if error.retryable else logging.WARNING
            log.log(level, "%s %s: %s", name, key, error)
            queue.retry(key)
        except Exception:
            failed.inc()
            log.exception("%s %s failed", name, key)
            queue.retry(key)
        else:
            succeeded.inc()
            queue.forget(key)
            if again is not None:
                queue.add_after(key, again)
        finally:
            queue.done(key)
