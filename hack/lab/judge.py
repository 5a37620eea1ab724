"""The real health rules of Argo CD and kstatus, built once from hack/judge and asked about objects."""

import hashlib
import json
import subprocess
from typing import Any

from hack.lab import golang
from hack.lab.places import REPOSITORY, cache_directory, say

MODULE = REPOSITORY / "hack" / "judge"


def judge(*objects: dict[str, Any]) -> list[dict[str, Any]]:
    """Verdicts in order: `{"argo": {"status": ...}, "kstatus": {"status": ...}}` each. Without objects it is only built."""
    stream = "\n".join(json.dumps(one) for one in objects)
    answer = subprocess.run([_binary()], input=stream, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def _binary() -> str:
    """The program; another source is another file, so a changed rule never runs an old binary."""
    digest = hashlib.sha256(
        b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    ).hexdigest()
    binary = cache_directory() / f"judge-{digest[:12]}"
    if not binary.exists():
        say("building the judge of Argo CD's and kstatus' rules (once; about two minutes)")
        golang.build(MODULE, ".", binary)
    return str(binary)
