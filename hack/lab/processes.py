"""Processes that outlive the command that started them, ended by id only.

A pid alone may belong to somebody else by now, so the start time of the process is kept beside it.
"""

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Running:
    """A started process: pid and its start time in clock ticks since boot."""

    pid: int
    started: int

    def as_json(self) -> dict[str, int]:
        """For the state file."""
        return asdict(self)

    @property
    def alive(self) -> bool:
        """Whether this very process is still there (and no zombie)."""
        return _start_time(self.pid) == self.started

    def end(self, *, timeout: float = 10.0) -> None:
        """SIGTERM, then SIGKILL after `timeout` seconds; returns once it is gone."""
        if not self.alive:
            return
        for number, patience in ((signal.SIGTERM, timeout), (signal.SIGKILL, 10.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)
                os.kill(self.pid, number)
            if self._gone(patience):
                return

    def signal(self, number: int) -> None:
        """Send a signal if the process is alive."""
        if self.alive:
            os.kill(self.pid, number)

    def _gone(self, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            _reap(self.pid)
            if not self.alive:
                return True
            time.sleep(0.02)
        return False


def start(command: list[str], *, log: Path, environment: dict[str, str] | None = None) -> Running:
    """Start a process in a session of its own, its output appended to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    return Running(pid=process.pid, started=_start_time(process.pid) or 0)


def memory(pid: int) -> int:
    """Proportional set size in bytes: shared pages are counted once over all that share them. 0 for a process that is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _start_time(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError, OSError):
        os.waitpid(pid, os.WNOHANG)
