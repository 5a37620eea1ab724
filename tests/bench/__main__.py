"""`python -m tests.bench`: measure, print a table, write build/bench.json."""

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from hack.lab.places import say
from hack.lab.providers import cluster_set
from tests.bench import bindings, decisions
from tests.bench import clusters as on_clusters
from tests.e2e.lab import Lab

TARGET = Path("build") / "bench.json"


def main() -> None:
    """Run everything; a smaller run for a quick look: --samples 10 --burst 50 --bindings 500."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--burst", type=int, default=200)
    parser.add_argument("--bindings", type=int, default=10_000)
    options = parser.parse_args()
    say("decisions a second of the pure scheduler")
    report: dict[str, Any] = {"decisions_per_s": decisions.measure()}
    say("scheduled bindings a second, end to end, members as Cluster objects alone")
    report["scheduled_bindings"] = bindings.measure()
    report |= _with_clusters(options)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    say(f"written to {TARGET}")


def _with_clusters(options: argparse.Namespace) -> dict[str, Any]:
    clusters = cluster_set(f"bench-{os.getpid()}")
    clusters.up(members=3)
    try:
        with tempfile.TemporaryDirectory() as directory:
            lab = Lab(clusters, Path(directory))
            lab.process.prepare()
            lab.process.start()
            try:
                for number in (1, 2, 3):
                    lab.join(number)
                say("latency, burst and memory on real clusters")
                return asyncio.run(
                    on_clusters.measure(lab, samples=options.samples, burst=options.burst, bindings=options.bindings)
                )
            finally:
                lab.process.stop()
    finally:
        clusters.down()


if __name__ == "__main__":
    main()
