"""The ledger: every decision with what it was taken from, as lines of JSON in files that rotate (DESIGN section 12, F3).

A file stands alone: a cluster is written once in it, as often as it differs, and named by the hash of what the scheduler saw. Kinds of lines:

    {"cluster": HASH, "view": {...}}
    {"at": SECONDS, "policy": "...", "binding": {...}, "clusters": [HASH, ...], "assumed": {...}, "answer": {...}}

Nothing is read back by the process: the ledger is for people, and a ledger that cannot be written stops no decision.
"""

import hashlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from federation.hub.schedule.decide import Answer
from federation.schedule.attempt import Assumed
from federation.schedule.record import assumed_json, binding_json, canonical, cluster_json
from federation.schedule.snapshot import BindingView, ClusterView

log = logging.getLogger(__name__)

NAME = "ledger.jsonl"
FILES = 8
"""Files that are kept, the one that is written included; the oldest goes first."""
FILE_BYTES = 32 * 2**20
"""A file that is longer makes way for the next one: at most 256 MiB in all."""


class Ledger:
    """Appends to `directory`/ledger.jsonl; older files are ledger.1.jsonl (the newest of them) and so on."""

    def __init__(self, directory: Path, *, file_bytes: int = FILE_BYTES, files: int = FILES) -> None:
        """Raises OSError where the directory cannot be made."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory, self._limit, self._files = directory, file_bytes, files
        self._file: BinaryIO | None = None
        self._known: set[str] = set()
        self._hashes: tuple[Sequence[ClusterView], list[str], dict[str, bytes]] | None = None

    def write(
        self,
        view: BindingView,
        clusters: Sequence[ClusterView],
        assumed: Assumed,
        answer: Answer,
        *,
        policy: str,
        suspended: bool = False,
    ) -> None:
        """Append one answer. What goes wrong is logged."""
        try:
            hashes, bodies = self._snapshot(clusters)
            lines = [
                b'{"cluster":"%b","view":%b}' % (digest.encode(), bodies[digest])
                for digest in hashes
                if digest not in self._known
            ]
            entry = {
                "at": round(time.time(), 3), "policy": policy, "binding": binding_json(view), "clusters": hashes,
                "assumed": assumed_json(assumed), "suspended": suspended, "answer": answer_json(answer),
            }  # fmt: skip
            file = self._open()
            file.write(b"\n".join([*lines, canonical(entry), b""]))
            file.flush()
            self._known.update(hashes)
            if file.tell() > self._limit:
                self._rotate()
        except OSError as error:
            log.warning("the ledger was not written: %s", error)
            self.close()

    def close(self) -> None:
        """Let go of the file; the next write opens it again and repeats the clusters that it needs."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._known.clear()

    def _snapshot(self, clusters: Sequence[ClusterView]) -> tuple[list[str], dict[str, bytes]]:
        """The hashes of the clusters; computed once while the same snapshot is decided against."""
        if self._hashes is None or self._hashes[0] is not clusters:
            bodies = {
                hashlib.sha256(body).hexdigest()[:16]: body for body in map(canonical, map(cluster_json, clusters))
            }
            self._hashes = (clusters, list(bodies), bodies)
        return self._hashes[1], self._hashes[2]

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._file = (self._directory / NAME).open("ab")
        return self._file

    def _rotate(self) -> None:
        self.close()
        for number in range(self._files - 1, 0, -1):
            older = self._directory / f"ledger.{number}.jsonl"
            newer = self._directory / (f"ledger.{number - 1}.jsonl" if number > 1 else NAME)
            if newer.exists():
                newer.replace(older)


def answer_json(answer: Answer) -> dict[str, Any]:
    """The answer as the ledger keeps it, and as a replay compares it."""
    error = answer.error
    return {
        "decision": answer.decision.model_dump(mode="json", by_alias=True) if answer.decision is not None else None,
        "error": [error.code, error.reason, error.message] if error is not None else None,
        "cause": str(answer.cause) if answer.cause is not None else None,
    }
