"""Where things live: binaries in the cache directory (kept), cluster sets in the state directory (removed by `down`)."""

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def cache_directory() -> Path:
    """$XDG_CACHE_HOME/federation, else ~/.cache/federation."""
    return _under("XDG_CACHE_HOME", ".cache")


def state_directory() -> Path:
    """$XDG_STATE_HOME/federation, else ~/.local/state/federation."""
    return _under("XDG_STATE_HOME", ".local/state")


def _under(variable: str, default: str) -> Path:
    base = os.environ.get(variable)
    path = (Path(base) if base else Path.home() / default) / "federation"
    path.mkdir(parents=True, exist_ok=True)
    return path


def say(text: str) -> None:
    """Progress for people, on standard error."""
    print(f"==> {text}", file=sys.stderr, flush=True)
