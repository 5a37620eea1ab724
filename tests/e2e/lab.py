"""The hub process and the clusters under test, driven as a user would: kubectl, fedctl, signals."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from federation.api.lines import parse_line
from federation.api.naming import binding_name
from hack.lab.audit import Request, requests
from hack.lab.kind import KindSet
from hack.lab.sets import ClusterSet

REPOSITORY = Path(__file__).resolve().parents[2]
Manifest = dict[str, Any]
PATIENCE = 30.0


def _as_list(manifests: tuple[Manifest, ...]) -> str:
    """JSON, as YAML of another version reads `y` as true."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})


def _documents(text: str) -> Iterator[Manifest]:
    """The objects of a stream of watch events that kubectl printed one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        entry, at = decoder.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        yield entry["object"]


class CommandFailed(AssertionError):
    """A command ended with another code than expected."""


def eventually(test: Callable[[], Any], *, within: float = PATIENCE, every: float = 0.1) -> Any:
    """The first truthy answer of `test`; assertion errors inside count as "not yet"."""
    deadline = time.monotonic() + within
    trouble: AssertionError | None = None
    while True:
        try:
            answer = test()
        except AssertionError as error:
            answer, trouble = None, error
        else:
            trouble = None
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise trouble or AssertionError(f"not within {within} s; last answer: {answer!r}")
        time.sleep(every)


def always(test: Callable[[], Any], *, seconds: float) -> None:
    """`test` stays truthy for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert test()
        time.sleep(0.1)


class Cluster:
    """One API server through kubectl with administrator rights."""

    def __init__(self, name: str, kubeconfig: Path, kubectl: Path, audit_log: Path) -> None:
        self.name = name
        self.kubeconfig = kubeconfig
        self.audit_log = audit_log
        self.kubectl = kubectl

    def define(self, definition: Manifest) -> None:
        """Apply a CustomResourceDefinition, and return once it is served."""
        self.apply(definition)
        self.served(definition["metadata"]["name"])

    def served(self, kind: str) -> None:
        """Return once kubectl finds a kind: discovery follows the condition Established by up to some seconds."""
        self.run("wait", "--for=condition=Established", f"crd/{kind}", "--timeout=20s")
        command = [str(self.kubectl), "--kubeconfig", str(self.kubeconfig), "get", kind, "-A"]
        eventually(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)

    def run(self, *arguments: str, stdin: str = "", fails: bool = False, timeout: float = 60) -> str:
        """kubectl; its output (and errors, where it is expected to fail)."""
        command = [str(self.kubectl), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        if (done.returncode != 0) != fails:
            raise CommandFailed(
                f"{self.name}: kubectl {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout + done.stderr if fails else done.stdout

    def apply(self, *manifests: Manifest, server_side: bool = False) -> None:
        """Apply manifests."""
        extra = ["--server-side", "--force-conflicts"] if server_side else []
        self.run("apply", *extra, "-f", "-", stdin=_as_list(manifests))

    def refuses(self, *manifests: Manifest) -> str:
        """Apply manifests that must be refused; the error text."""
        return self.run("apply", "-f", "-", stdin=_as_list(manifests), fails=True)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """One object, None if it is not there."""
        place = ["-n", namespace] if namespace else []
        text = self.run("get", kind, name, *place, "--ignore-not-found", "--show-managed-fields", "-o", "json")
        return json.loads(text) if text.strip() else None

    def every(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Manifest]:
        """Objects of a kind, of all namespaces without one."""
        place = ["-n", namespace] if namespace else ["-A"]
        chosen = ["-l", selector] if selector else []
        return json.loads(self.run("get", kind, *place, *chosen, "-o", "json"))["items"]

    def patch(self, kind: str, name: str, namespace: str | None, patch: Manifest, *, subresource: str = "") -> None:
        """Merge patch."""
        place = ["-n", namespace] if namespace else []
        sub = [f"--subresource={subresource}"] if subresource else []
        self.run("patch", kind, name, *place, *sub, "--type=merge", "-p", json.dumps(patch))

    def delete(
        self, kind: str, name: str, namespace: str | None = None, *, cascade: str = "background", wait: bool = True
    ) -> None:
        """Delete one object."""
        place = ["-n", namespace] if namespace else []
        self.run("delete", kind, name, *place, f"--cascade={cascade}", f"--wait={str(wait).lower()}")

    def scale(self, name: str, namespace: str, replicas: int) -> None:
        """Scale a Deployment."""
        self.run("scale", f"deployment/{name}", "-n", namespace, f"--replicas={replicas}")

    def uid(self, kind: str, name: str, namespace: str | None = None) -> str:
        """UID of an object that exists."""
        found = self.get(kind, name, namespace)
        assert found is not None, f"{self.name} has no {kind} {name}"
        return str(found["metadata"]["uid"])

    @contextmanager
    def watching(self, kind: str, namespace: str) -> Iterator[list[Manifest]]:
        """Every state of the objects of a kind meanwhile, in order, filled in at the end."""
        command = [str(self.kubectl), "--kubeconfig", str(self.kubeconfig), "get", kind, "-n", namespace]
        command += ["--watch", "--output-watch-events", "-o", "json"]
        with tempfile.TemporaryFile("w+") as output:
            following = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
            found: list[Manifest] = []
            try:
                time.sleep(0.5)
                yield found
                time.sleep(0.5)
            finally:
                following.terminate()
                following.wait()
            output.seek(0)
            found.extend(_documents(output.read()))

    @contextmanager
    def counting(self) -> Iterator[list[Request]]:
        """Requests answered meanwhile, filled in at the end."""
        offset = self.audit_log.stat().st_size
        found: list[Request] = []
        yield found
        time.sleep(0.2)
        found.extend(requests(self.audit_log, offset=offset))


class Hub(Cluster):
    """The hub, with what only the hub has."""

    def binding(self, kind: str, name: str, namespace: str | None = None, group: str = "apps") -> Manifest | None:
        """The binding of a template."""
        plural = "rb" if namespace else "crb"
        return self.get(plural, binding_name(group, kind, namespace or "", name), namespace)

    def status(self, kind: str, name: str, namespace: str | None = None, group: str = "apps") -> Manifest:
        """Status of the binding; empty before there is one."""
        return (self.binding(kind, name, namespace, group) or {}).get("status") or {}

    def targets(self, kind: str, name: str, namespace: str | None = None, group: str = "apps") -> dict[str, int]:
        """Targets of the decision; empty before there is one."""
        return (self.status(kind, name, namespace, group).get("decision") or {}).get("targets") or {}

    def members(
        self, kind: str, name: str, namespace: str | None = None, group: str = "apps"
    ) -> dict[str, dict[str, str]]:
        """The members' lines, parsed."""
        lines = self.status(kind, name, namespace, group).get("members") or {}
        return {cluster: parse_line(text) for cluster, text in lines.items()}

    def condition(self, kind: str, name: str, namespace: str | None, which: str, group: str = "apps") -> Manifest:
        """A condition of the binding; empty before there is one."""
        conditions = self.status(kind, name, namespace, group).get("conditions") or []
        return next((one for one in conditions if one["type"] == which), {})

    def settled(self, kind: str, name: str, namespace: str | None = None, group: str = "apps") -> bool:
        """True if the binding is Ready and the template's status caught up; else an AssertionError says what it waits for."""
        status = self.status(kind, name, namespace, group)
        ready = next((one for one in status.get("conditions") or [] if one["type"] == "Ready"), {})
        assert ready.get("status") == "True", f"{kind} {name} is not Ready: {json.dumps(status)}"
        return True


class Process:
    """`federation hub`, run as its own ServiceAccount."""

    def __init__(self, hub: Hub, directory: Path, *, variant: str = "") -> None:
        """`variant`: one of tests/e2e/variants.py instead of the command itself."""
        self.hub = hub
        self._program = (
            [sys.executable, "-m", "tests.e2e.variants", variant]
            if variant
            else [str(Path(sys.executable).parent / "federation")]
        )
        self.identity = directory.name
        """Fixed, so that a process that is killed and started again takes its leases back at once."""
        self.log = directory / "hub.log"
        self.kubeconfig = directory / "hub.kubeconfig"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def prepare(self) -> None:
        """Make the ServiceAccount with the rights of deploy/, and a kubeconfig with its token only."""
        self.hub.run("apply", "--server-side", "-k", str(REPOSITORY / "deploy"))
        token = self.hub.run("create", "token", "federation-hub", "-n", "federation-system", "--duration=24h").strip()
        config = json.loads(self.hub.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(config))

    def start(self, *arguments: str) -> None:
        """Start, and return once it is ready. The brake is wide open (tests remove much); a later argument counts."""
        offset = self.log.stat().st_size if self.log.exists() else 0
        command = [
            *self._program, "hub", "--kubeconfig", str(self.kubeconfig), "--port=0",
            "--probe-seconds=1", "--failure-seconds=3", "--success-seconds=1", "--brake-objects=1000",
            f"--identity={self.identity}", *arguments,
        ]  # fmt: skip
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=REPOSITORY
            )

        def ready() -> bool:
            if not self.running:
                raise CommandFailed(self.log.read_text()[-3000:])
            text = self.log.read_text()[offset:]
            found = re.search(r"metrics on 127\.0\.0\.1:(\d+)", text)
            if found:
                self.port = int(found[1])
            return '"message":"ready: hub' in text

        eventually(ready, within=60, every=0.02)

    def kill(self) -> None:
        """SIGKILL, at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(0.5)
            self.kill()
            raise AssertionError(f"it did not stop; the end of its log:\n{self.log.read_text()[-6000:]}") from None

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    @property
    def stopped(self) -> bool:
        """Whether it is frozen (SIGSTOP)."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def restart(self, *arguments: str) -> None:
        """SIGTERM and start again."""
        self.stop()
        self.start(*arguments)

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def memory(self) -> int:
        """Proportional set size in bytes."""
        from hack.lab.processes import memory

        return memory(self._process.pid) if self._process else 0

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    def errors(self) -> list[str]:
        """Log lines of level error."""
        found = []
        for line in self.log.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                found.append(line)
                continue
            if entry.get("level") == "error":
                found.append(line)
        return found


class Lab:
    """Clusters, hub process and commands."""

    def __init__(self, clusters: ClusterSet | KindSet, directory: Path) -> None:
        self.clusters = clusters
        self.directory = directory
        from hack.lab.binaries import kubectl as find_kubectl

        kubectl = find_kubectl()
        self.hub = Hub("hub", clusters.kubeconfig("hub"), kubectl, clusters.cluster("hub").audit_log)
        self.members = {
            name: Cluster(name, clusters.kubeconfig(name), kubectl, clusters.cluster(name).audit_log)
            for name in clusters.names()
            if name != "hub"
        }
        self.process = Process(self.hub, directory)

    def member(self, number: int) -> Cluster:
        """member1 and so on."""
        return self.members[f"member{number}"]

    def fedctl(
        self, *arguments: str, fails: bool | int | tuple[int, ...] = False, timeout: float = 120,
        kubeconfig: Path | None = None,
    ) -> str:  # fmt: skip
        """fedctl against the hub, as its administrator or with `kubeconfig`; its output.

        `fails`: True for any code but 0, or the code, or those that are right.
        """
        command = [str(Path(sys.executable).parent / "fedctl"), *arguments]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig or self.hub.kubeconfig)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environment)
        codes = fails if isinstance(fails, tuple) else (fails,)
        right = done.returncode in codes if not isinstance(fails, bool) else (done.returncode != 0) == fails
        if not right:
            raise CommandFailed(f"fedctl {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def join(self, number: int, *arguments: str) -> str:
        """Join a member under its own name."""
        name = f"member{number}"
        return self.fedctl("join", name, "--kubeconfig", str(self.members[name].kubeconfig), *arguments)
