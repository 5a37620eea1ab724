"""A set of clusters: one hub and its members, side by side with other sets. `up` is idempotent and mends what died."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.lab.binaries import DEFAULT_MINOR, Binaries, binaries
from hack.lab.local import LocalCluster
from hack.lab.places import say, state_directory
from hack.lab.processes import end


class NoSuchCluster(Exception):
    """The set has no cluster of that name."""


class ClusterSet:
    """Clusters under one name; the state is on disk, so any process may go on with it."""

    def __init__(self, name: str = "default") -> None:
        self.name = name
        self.directory = state_directory() / "sets" / name

    def up(
        self, *, members: int = 3, audit: bool = False, nodes: int = 3, minor: str = DEFAULT_MINOR, source: str = "auto"
    ) -> None:
        """Start the hub and `members` members; what runs already is left alone. Raises NotReady, NoBinaries."""
        found = binaries(minor=minor, source=source)
        names = ["hub", *(f"member{number}" for number in range(1, members + 1))]
        with self._locked():
            self.directory.mkdir(parents=True, exist_ok=True)
            (self.directory / "set.json").write_text(json.dumps({"provider": "local", "kubernetes": minor}))
            clusters = [self._cluster(name, found) for name in names]
            for cluster in clusters:
                if not cluster.ports:
                    cluster.audit, cluster.nodes = audit, nodes
                cluster.start(taken=self._taken())
        for cluster in clusters:
            cluster.wait_ready()
            say(f"{cluster.name} is ready at {cluster.endpoint}")

    def down(self) -> None:
        """End every process of the set and remove its data."""
        with self._locked():
            clusters = [self._cluster(name, None) for name in self.names()]
            # The data goes too, so there is nothing to wait for.
            end([process for cluster in clusters for process in cluster.processes.values()], timeout=0.5)
            shutil.rmtree(self.directory, ignore_errors=True)

    def names(self) -> list[str]:
        """The clusters of the set, hub first."""
        if not self.directory.exists():
            return []
        names = [path.name for path in self.directory.iterdir() if (path / "state.json").exists()]
        return sorted(names, key=lambda name: (name != "hub", len(name), name))

    def kubeconfig(self, name: str) -> Path:
        """Path of the administrator's kubeconfig of one cluster. Raises NoSuchCluster."""
        return self.cluster(name).kubeconfig

    def cluster(self, name: str) -> LocalCluster:
        """One cluster as it is on disk. Raises NoSuchCluster."""
        if name not in self.names():
            known = ", ".join(self.names()) or "none; run hack/clusters up"
            raise NoSuchCluster(f"set {self.name!r} has no cluster {name!r} (known: {known})")
        return self._cluster(name, None)

    def stop(self, name: str) -> None:
        """End the processes of one cluster; its data stays."""
        self.cluster(name).stop()

    def snapshot(self, name: str, file: Path) -> None:
        """Keep what one cluster stores in a file; it is stopped for that, and started again."""
        with self._stopped(name) as cluster:
            cluster.snapshot(file)

    def restore(self, name: str, file: Path) -> None:
        """Put one cluster back to a snapshot, objects and resourceVersions; everything since is forgotten."""
        with self._stopped(name) as cluster:
            cluster.restore(file)

    @contextmanager
    def _stopped(self, name: str) -> Iterator[LocalCluster]:
        self.stop(name)
        try:
            yield self.cluster(name)
        finally:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a stopped cluster again, on the same ports."""
        cluster = self._cluster(name, binaries(minor=self._minor()))
        with self._locked():
            cluster.start(taken=self._taken())
        cluster.wait_ready()

    def _minor(self) -> str:
        return str(json.loads((self.directory / "set.json").read_text())["kubernetes"])

    def _cluster(self, name: str, found: Binaries | None) -> LocalCluster:
        number = 0 if name == "hub" else int(name.removeprefix("member"))
        none = Path("/nonexistent")
        known = found or Binaries(none, none, none, none, none, none, none)
        cluster = LocalCluster(name=name, number=number, directory=self.directory / name, binaries=known)
        cluster.load()
        return cluster

    def _taken(self) -> set[int]:
        """Ports that any set of this machine has chosen."""
        taken: set[int] = set()
        for file in (state_directory() / "sets").glob("*/*/state.json"):
            taken |= set(json.loads(file.read_text())["ports"].values())
        return taken

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change of any set at a time: two sets must not choose the same ports."""
        with (state_directory() / "sets.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
