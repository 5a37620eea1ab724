"""The ledger of a hub process on real clusters, replayed by a process that asks none."""

from pathlib import Path

from tests.e2e.lab import Lab, eventually
from tests.e2e.manifests import deployment, on, policy, selector, weights


def test_decisions_on_real_clusters_are_taken_again_from_the_ledger_alone(lab: Lab, place: str, tmp_path: Path) -> None:
    lab.process.restart(f"--ledger={tmp_path}")
    try:
        chosen = on("member1", "member2") | weights(member1=1, member2=1)
        lab.hub.apply(policy("web", place, selector(name="web"), placement=chosen), deployment("web", place, 4))
        eventually(lambda: lab.hub.settled("Deployment", "web", place))
        lab.hub.scale("web", place, 6)
        eventually(lambda: lab.hub.targets("Deployment", "web", place) == {"member1": 3, "member2": 3})
        eventually(lambda: lab.hub.settled("Deployment", "web", place))
        said = lab.fedctl("replay", str(tmp_path / "ledger.jsonl"), kubeconfig=tmp_path / "absent")
        assert said.endswith("2 decisions replayed, 0 differ\n")
    finally:
        lab.process.restart()
