"""`--source release` against a server of our own: what is downloaded is what was published, or nothing is kept."""

import functools
import hashlib
import http.server
import platform
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.lab import release


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of a release as it is published, served on loopback."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    directory = tmp_path / "site" / "v1.36.3" / "bin" / "linux" / machine
    directory.mkdir(parents=True)
    for name in release.NAMES:
        (directory / name).write_text(f"program {name}")
        (directory / f"{name}.sha256").write_text(hashlib.sha256(f"program {name}".encode()).hexdigest())
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Silent, directory=str(tmp_path / "site"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(release, "HOST", f"http://127.0.0.1:{server.server_port}")
    yield directory
    server.shutdown()
    server.server_close()


def test_every_program_is_downloaded_once_and_can_be_run(published: Path, tmp_path: Path) -> None:
    found = release.download("1.36.3", tmp_path / "cache")
    assert {name: path.read_text() for name, path in found.items()} == {n: f"program {n}" for n in release.NAMES}
    assert all(path.stat().st_mode & 0o111 for path in found.values())
    (published / "kubectl").unlink()
    assert release.download("1.36.3", tmp_path / "cache") == found


def test_a_program_that_is_not_what_was_published_is_refused_and_not_kept(published: Path, tmp_path: Path) -> None:
    (published / "kube-scheduler").write_text("something else")
    with pytest.raises(release.BadChecksum, match="kube-scheduler"):
        release.download("1.36.3", tmp_path / "cache")
    assert not (tmp_path / "cache" / "kubernetes-1.36.3-release" / "kube-scheduler").exists()


def test_a_program_that_is_not_there_is_named(published: Path, tmp_path: Path) -> None:
    (published / "kubectl").unlink()
    with pytest.raises(release.NotDownloaded, match=r"kubectl: .*404"):
        release.download("1.36.3", tmp_path / "cache")
