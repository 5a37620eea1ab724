"""The programs of a local cluster: found on PATH or in the cache if their versions fit, else built from pinned modules.

Each version lies in a directory of its own in the cache, so sets of different versions do not disturb each other.
"""

import fcntl
import functools
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.lab import golang, release
from hack.lab.places import REPOSITORY, cache_directory, say

DEFAULT_MINOR = "1.36"
MODULES = REPOSITORY / "hack" / "kube"
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
LEAST_ETCD = (3, 6)


class NoBinaries(Exception):
    """The programs cannot be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Paths of the programs, and of kwok's stage files."""

    apiserver: Path
    controllers: Path
    scheduler: Path
    kubectl: Path
    etcd: Path
    kwok: Path
    stages: Path


def binaries(*, minor: str = DEFAULT_MINOR, source: str = "auto") -> Binaries:
    """Find or make every program. `source`: auto (PATH, cache, build) or release (official, checksum verified)."""
    module = MODULES / f"kubernetes-{minor}"
    if not module.is_dir():
        known = ", ".join(sorted(path.name.removeprefix("kubernetes-") for path in MODULES.glob("kubernetes-*")))
        raise NoBinaries(f"Kubernetes {minor} is not pinned (known: {known}); add a module {module.name} beside them")
    version = pinned(module, "k8s.io/kubernetes")
    with _locked():
        if source == "release":
            found = release.download(version, cache_directory())
        else:
            found = {name: _on_path(name, minor) for name in COMPONENTS}
            if not all(found.values()):
                found = _built_kubernetes(module, version)
        kwok, stages = _kwok()
        return Binaries(
            apiserver=_path(found, "kube-apiserver"), controllers=_path(found, "kube-controller-manager"),
            scheduler=_path(found, "kube-scheduler"), kubectl=_path(found, "kubectl"), etcd=_etcd(), kwok=kwok,
            stages=stages,
        )  # fmt: skip


@functools.cache
def kubectl(*, minor: str = DEFAULT_MINOR) -> Path:
    """kubectl of PATH if its version fits, else built."""
    return _on_path("kubectl", minor) or binaries(minor=minor).kubectl


def kwok() -> tuple[Path, Path]:
    """kwok and its stage files, built once."""
    with _locked():
        return _kwok()


def pinned(module: Path, path: str) -> str:
    """The version of a requirement in a go.mod, without the leading v."""
    match = re.search(rf"^\s*(?:require )?{re.escape(path)} v(\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise NoBinaries(f"{module / 'go.mod'} does not require {path}")
    return match[1]


def _path(found: dict[str, Path | None], name: str) -> Path:
    path = found[name]
    if path is None:
        raise NoBinaries(f"{name} is missing")
    return path


def _built_kubernetes(module: Path, version: str) -> dict[str, Path | None]:
    directory = cache_directory() / f"kubernetes-{version}"
    binary = directory / "kube"
    if not binary.exists():
        directory.mkdir(parents=True, exist_ok=True)
        say(f"building Kubernetes {version} from source (once; about 5 minutes on two cores)")
        with _timed("Kubernetes"):
            golang.build(module, ".", binary, linker_flags=_stamp(version))
    for name in COMPONENTS:
        link = directory / name
        if not link.exists():
            link.symlink_to("kube")
    return {name: directory / name for name in COMPONENTS}


def _stamp(version: str) -> str:
    """Without a version stamp `/version` says v0.0.0-master, and version parsers break."""
    major, minor, _ = version.split(".")
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return "-s -w " + " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())


def _etcd() -> Path:
    found = shutil.which("etcd")
    if found and _number(found, "--version") >= LEAST_ETCD:
        return Path(found)
    module = MODULES / "etcd"
    version = pinned(module, "go.etcd.io/etcd/server/v3")
    binary = cache_directory() / f"etcd-{version}" / "etcd"
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        say(f"building etcd {version} (once; about half a minute)")
        with _timed("etcd"):
            golang.build(module, "go.etcd.io/etcd/server/v3", binary)
    return binary


def _kwok() -> tuple[Path, Path]:
    module = MODULES / "kwok"
    version = pinned(module, "sigs.k8s.io/kwok")
    directory = cache_directory() / f"kwok-{version}"
    binary, stages = directory / "kwok", directory / "stages"
    if not binary.exists():
        directory.mkdir(parents=True, exist_ok=True)
        say(f"building kwok {version} (once; about a minute)")
        with _timed("kwok"):
            golang.build(module, "sigs.k8s.io/kwok/cmd/kwok", binary)
    if not stages.exists():
        kept = golang.module_directory(module, "sigs.k8s.io/kwok") / "kustomize" / "stage"
        partial = directory / "stages.partial"
        shutil.rmtree(partial, ignore_errors=True)
        # The module cache is read-only; only the contents are wanted.
        shutil.copytree(kept, partial, copy_function=shutil.copyfile)
        for path in [partial, *partial.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        partial.rename(stages)
    return binary, stages


def _on_path(name: str, minor: str) -> Path | None:
    """A program on PATH whose version fits: the same minor, for kubectl one more or less."""
    found = shutil.which(name)
    if found is None:
        return None
    arguments = ("version", "--client") if name == "kubectl" else ("--version",)
    version, wanted = _number(found, *arguments), tuple(int(part) for part in minor.split("."))
    distance = abs(version[1] - wanted[1]) if version[0] == wanted[0] else 99
    return Path(found) if distance <= (1 if name == "kubectl" else 0) else None


def _number(binary: str, *arguments: str) -> tuple[int, ...]:
    answer = subprocess.run([binary, *arguments], check=False, capture_output=True, text=True)
    match = re.search(r"v?(\d+)\.(\d+)\.\d+", answer.stdout + answer.stderr)
    return (int(match[1]), int(match[2])) if match else (0, 0)


@contextmanager
def _locked() -> Iterator[None]:
    """One build at a time on this machine; the second caller finds the result."""
    with (cache_directory() / "build.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _timed(what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    say(f"{what} built in {time.monotonic() - start:.0f} s")
