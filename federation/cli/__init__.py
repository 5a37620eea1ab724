"""`fedctl`, also `kubectl fed`: what people and pipelines ask the hub. Reads the hub with the caller's own rights."""

from federation.cli.main import main

__all__ = ["main"]
