"""`--source release`: the official Kubernetes programs, each checked against its published SHA-256.

Written by the layout that kubernetes.io documents; it could not be tried where it was written (no way out to that host).
"""

import hashlib
import platform
import urllib.request
from pathlib import Path

from hack.lab.places import say

HOST = "https://dl.k8s.io"
NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")


class NotDownloaded(Exception):
    """A program could not be downloaded; the message says from where and why."""


class BadChecksum(NotDownloaded):
    """What was downloaded is not what was published."""


def download(version: str, cache: Path) -> dict[str, Path | None]:
    """Programs of one version for this processor, downloaded once."""
    directory = cache / f"kubernetes-{version}-release"
    directory.mkdir(parents=True, exist_ok=True)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    for name in NAMES:
        target = directory / name
        if not target.exists():
            address = f"{HOST}/v{version}/bin/linux/{machine}/{name}"
            try:
                _fetch(address, target)
            except OSError as error:
                raise NotDownloaded(f"{address}: {error}; --source auto builds the programs instead") from error
    return {name: directory / name for name in NAMES}


def _fetch(address: str, target: Path) -> None:
    say(f"downloading {address}")
    with urllib.request.urlopen(f"{address}.sha256") as answer:
        wanted = answer.read().decode().split()[0]
    partial = target.with_suffix(".partial")
    digest = hashlib.sha256()
    with urllib.request.urlopen(address) as answer, partial.open("wb") as file:
        while chunk := answer.read(1 << 20):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != wanted:
        partial.unlink()
        raise BadChecksum(f"{address}: SHA-256 {digest.hexdigest()} is not the published {wanted}")
    partial.chmod(0o755)
    partial.rename(target)
