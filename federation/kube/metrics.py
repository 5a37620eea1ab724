"""Prometheus metrics of the plumbing. Labels are bounded: clusters, methods and HTTP statuses."""

from functools import lru_cache
from typing import Any

from prometheus_client import Counter, Gauge

REQUESTS = Counter("federation_api_requests_total", "Answered requests to API servers.", ["cluster", "method", "code"])
RELISTS = Counter("federation_relists_total", "Lists by reflectors after the first one.", ["cluster"])
WATCHES = Gauge("federation_watches", "Open watches.", ["cluster"])
QUEUE_DEPTH = Gauge("federation_queue_depth", "Keys that wait.", ["queue"])
RECONCILES = Counter("federation_reconciles_total", "Finished reconciles.", ["queue", "result"])
LEADING = Gauge("federation_leading", "1 while this process leads: it detects, schedules and collects.")
SHARDS_HELD = Gauge("federation_shards_held", "Shards of clusters that this process executes for.")


@lru_cache(maxsize=4096)
def _child(cluster: str, method: str, status: int) -> Any:
    return REQUESTS.labels(cluster, method, str(status))


def count_request(cluster: str, method: str, status: int) -> None:
    """One more answer; status 0 is a connection that failed."""
    _child(cluster, method, status).inc()


def forget_cluster(cluster: str) -> None:
    """A cluster left: drop its series, or every name that was ever used would stay."""
    for metric in (REQUESTS, RELISTS, WATCHES):
        metric.remove_by_labels({"cluster": cluster})
    _child.cache_clear()
