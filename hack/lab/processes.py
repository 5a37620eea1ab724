"""Processes that outlive the command that started them, ended by id only.

A pid alone may belong to somebody else by now, so the start time of the process is kept beside it.
"""

import contextlib
import os
import signal
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

    def signal(self, number: int) -> None:
        """Send a signal if the process is alive."""
        if self.alive:
            os.kill(self.pid, number)


def end(processes: list[Running], *, timeout: float = 5.0) -> None:
    """SIGTERM to all, SIGKILL after `timeout` seconds to those that are left; returns once all are gone."""
    for number, patience in ((signal.SIGTERM, timeout), (signal.SIGKILL, 10.0)):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.signal(signal.SIGCONT)
                process.signal(number)
        deadline = time.monotonic() + patience
        while any(process.alive for process in processes):
            if time.monotonic() > deadline:
                break
            for process in processes:
                _reap(process.pid)
            time.sleep(0.02)
        else:
            return


def start(command: list[str], *, log: Path, environment: dict[str, str] | None = None) -> Running:
    """Start a process in a session of its own, its output appended to `log`."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        *((os.POSIX_SPAWN_CLOSE, number) for number in _inherited()),
    ]
    pid = os.posix_spawn(command[0], command, {**os.environ, **(environment or {})}, file_actions=actions, setsid=True)
    return Running(pid=pid, started=_start_time(pid) or 0)


def _inherited() -> list[int]:
    """Descriptors that a child would keep: one of a lock that our caller holds would be held for as long as the child lives."""
    numbers = [int(entry.name) for entry in Path("/proc/self/fd").iterdir() if int(entry.name) > 2]
    found = []
    for number in numbers:
        with contextlib.suppress(OSError):  # the one of the listing itself is gone
            if os.get_inheritable(number):
                found.append(number)
    return found


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
