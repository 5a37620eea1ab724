"""`make demo` and `make down`: a hub, three members, the examples, and a live table until all of it is ready.

Only public commands are used: kubectl, fedctl, `federation hub` under its own ServiceAccount.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.live import Live
from rich.table import Table

from hack.lab.binaries import kubectl
from hack.lab.places import REPOSITORY, say
from hack.lab.processes import Running, end, start
from hack.lab.providers import cluster_set

SET = "demo"
REGIONS = {"member1": "eu", "member2": "eu", "member3": "us"}
PROGRAMS = Path(sys.executable).parent
PATIENCE = 120.0


class Demo:
    """The demo's clusters and process."""

    def __init__(self) -> None:
        self.clusters = cluster_set(SET)
        self.state = self.clusters.directory / "process.json"

    def up(self) -> None:
        """Everything, step by step; a second run mends what is missing."""
        self.clusters.up(members=len(REGIONS))
        self._process()
        self._join()
        self._examples()
        self._watch()
        self._next()

    def down(self) -> None:
        """End the process and the clusters."""
        if self.state.exists():
            end([Running(**json.loads(self.state.read_text()))])
        self.clusters.down()
        say("the demo has ended")

    def _process(self) -> None:
        if self.state.exists() and Running(**json.loads(self.state.read_text())).alive:
            return
        say("starting federation hub under its own service account")
        self._kubectl("apply", "--server-side", "-k", str(REPOSITORY / "deploy"))
        token = self._kubectl("create", "token", "federation-hub", "-n", "federation-system", "--duration=24h").strip()
        config = json.loads(self.clusters.kubeconfig("hub").read_text())
        config["users"][0]["user"] = {"token": token}
        file = self.clusters.directory / "process.kubeconfig"
        file.touch(mode=0o600)
        file.write_text(json.dumps(config))
        log = self.clusters.directory / "process.log"
        # Whoever tries things here removes more than the five copies a minute that suit so small a fleet (docs/brake.md).
        brake = ["--brake-objects", "50"]
        command = [str(PROGRAMS / "federation"), "hub", "--kubeconfig", str(file), "--port", "0", "--identity", "demo"]
        command += brake
        running = start(command, log=log)
        self.state.write_text(json.dumps(running.as_json()))
        self._until(lambda: '"message":"ready: hub' in log.read_text(), running, log)

    def _until(self, test, running: Running, log: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        deadline = time.monotonic() + PATIENCE
        while not test():
            if not running.alive or time.monotonic() > deadline:
                sys.exit(f"federation hub did not start; see {log}\n{log.read_text()[-1000:]}")
            time.sleep(0.1)

    def _join(self) -> None:
        joined = self._kubectl("get", "clusters.federation.dev", "-o", "name").split()
        for name, region in REGIONS.items():
            if f"cluster.federation.dev/{name}" in joined:
                continue
            say(f"joining {name} (region {region})")
            kubeconfig = str(self.clusters.kubeconfig(name))
            self._fedctl(
                "join", name, "--kubeconfig", kubeconfig, "--region", region, "--allow", "customresourcedefinitions"
            )

    def _examples(self) -> None:
        say("applying examples/")
        folder = REPOSITORY / "examples"
        for file in ("01-web-weights", "02-config-everywhere", "03-custom-resource/1-crd.yaml"):
            self._kubectl("apply", "-f", str(folder / file))
        for name in REGIONS:
            kubeconfig = str(self.clusters.kubeconfig(name))
            crd = "crd/greetings.example.test"
            self._kubectl("wait", "--for=create", crd, "--timeout=60s", kubeconfig=kubeconfig)
            self._kubectl("wait", "--for=condition=Established", crd, "--timeout=60s", kubeconfig=kubeconfig)
            self._fedctl("allow", name, "greetings.example.test", "--kubeconfig", kubeconfig)
        self._served("greetings.example.test")
        self._kubectl("apply", "-f", str(folder / "03-custom-resource" / "2-greeting.yaml"))

    def _served(self, kind: str) -> None:
        """Return once kubectl finds a new kind: discovery follows the condition Established by up to some seconds."""
        command = [str(kubectl()), "--kubeconfig", str(self.clusters.kubeconfig("hub")), "get", kind, "-A"]
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(command, capture_output=True, check=False).returncode != 0:
            if time.monotonic() > deadline:
                sys.exit(f"{kind} is not served by the hub; see: {' '.join(command)}")
            time.sleep(0.3)

    def _watch(self) -> None:
        console = Console() if sys.stdout.isatty() else Console(width=160)
        deadline = time.monotonic() + PATIENCE
        with Live(console=console, refresh_per_second=4, transient=not console.is_terminal) as live:
            while True:
                rows = json.loads(self._fedctl("get", "bindings", "-A", "-o", "json"))
                live.update(_table(rows))
                # The namespace of the greeting's policy arrives last: all four bindings must be there.
                if len(rows) >= 4 and all(row["reason"] == "Ready" for row in rows):
                    break
                if time.monotonic() > deadline:
                    sys.exit("not everything is ready; see: fedctl get bindings -A")
                time.sleep(0.3)
        if not console.is_terminal:
            console.print(_table(rows))

    def _next(self) -> None:
        kubeconfig = self.clusters.kubeconfig("hub")
        path = f"{PROGRAMS}:$PATH" if shutil.which("kubectl") else f"{PROGRAMS}:{kubectl().parent}:$PATH"
        print(f"""
All is ready. Try:
  export KUBECONFIG={kubeconfig} PATH={path}
  kubectl get federation -A
  fedctl explain deploy/web -n example-web
  fedctl get deploy/web -n example-web
  kubectl scale deploy/web -n example-web --replicas=12 && kubectl rollout status deploy/web -n example-web
  fedctl render deploy/web -n example-web --cluster member3 --diff
  fedctl leave member2
It stays up; `make down` ends it.""")

    def _kubectl(self, *arguments: str, kubeconfig: str = "") -> str:
        file = kubeconfig or str(self.clusters.kubeconfig("hub"))
        return _run([str(kubectl()), "--kubeconfig", file, *arguments])

    def _fedctl(self, *arguments: str) -> str:
        return _run([str(PROGRAMS / "fedctl"), *arguments], KUBECONFIG=str(self.clusters.kubeconfig("hub")))


def _run(command: list[str], **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def _table(rows: list[dict[str, str]]) -> Table:
    table = Table(box=None, header_style="bold")
    for column in ("namespace", "template", "wanted", "ready", "placed", "reason"):
        table.add_column(column.upper(), no_wrap=True)
    for row in rows:
        style = "green" if row["reason"] == "Ready" else "yellow"
        cells = [
            str(row[key]) if row[key] is not None else ""
            for key in ("namespace", "template", "wanted", "ready", "placed")
        ]
        table.add_row(*cells, f"[{style}]{row['reason']}[/]")
    return table


if __name__ == "__main__":
    if sys.argv[1:] not in (["up"], ["down"]):
        sys.exit("usage: hack/demo.py up|down")
    getattr(Demo(), sys.argv[1])()
