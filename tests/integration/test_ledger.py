"""The ledger on the whole federation in process: every decision is in it, and `fedctl replay` takes each again."""

import contextlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import yaml

from federation.hub.schedule.decide import decide
from federation.hub.schedule.ledger import Ledger
from tests.e2e.manifests import deployment, on, policy, selector, weights
from tests.integration.federation import PLACE, eventually, federation
from tests.unit.schedule.build import DYNAMIC, binding, member


def fedctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a fresh process, with nothing but the files."""
    command = [str(Path(sys.executable).parent / "fedctl"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": ""})


def open_files() -> set[str]:
    """What this process has open."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return found


async def test_what_was_decided_is_decided_again_from_the_ledger_alone(tmp_path: Path) -> None:
    async with federation() as fed:
        fed.settings = replace(fed.settings, ledger=str(tmp_path))
        await fed.kill()
        await fed.start()
        chosen = policy(
            "web", PLACE, selector(name="web"), placement=on("member1", "member2") | weights(member1=1, member2=1)
        )
        await fed.apply(chosen, deployment("web", PLACE, 4))
        await eventually(lambda: fed.settled("Deployment", "web"))
        await fed.scale("web", 7)
        await eventually(lambda: sum(fed.replicas("web").values()) == 7 and fed.settled("Deployment", "web"))
        await fed.apply(policy("web", PLACE, selector(name="web"), placement=on("member3") | weights(member3=1)))
        await eventually(lambda: fed.replicas("web") == {"member3": 7} and fed.settled("Deployment", "web"))
        epoch = fed.decision("Deployment", "web")["epoch"]
    file = tmp_path / "ledger.jsonl"
    assert str(file) not in open_files(), "closed with the process that wrote it"
    entries = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    epochs = [one["answer"]["decision"]["epoch"] for one in entries if "answer" in one and one["answer"]["decision"]]
    assert epochs == list(range(1, epoch + 1)), "every decision, once"
    same = fedctl("replay", str(file))
    assert (same.returncode, same.stdout) == (0, f"{epoch} decisions replayed, 0 differ\n"), same.stderr
    other = tmp_path / "policy.yaml"
    other.write_text(
        yaml.safe_dump(policy("web", PLACE, selector(name="web"), placement=on("member2") | weights(member2=1)))
    )
    changed = fedctl("replay", str(file), "--policy", str(other))
    assert changed.returncode == 1
    assert "member1=2, member2=2 was decided, member2=4 now" in changed.stdout


def test_files_rotate_and_each_stands_alone(tmp_path: Path) -> None:
    ledger, clusters = Ledger(tmp_path, file_bytes=6000, files=3), [member("m1"), member("m2")]
    view = binding(DYNAMIC)
    for replicas in range(1, 40):
        asked = replace(view, replicas=replicas)
        ledger.write(asked, clusters, {}, decide(asked, clusters, {}), policy="PropagationPolicy shop/web")
    ledger.close()
    found = sorted(one.name for one in tmp_path.iterdir())
    assert found == ["ledger.1.jsonl", "ledger.2.jsonl", "ledger.jsonl"]
    for name in found:
        done = fedctl("replay", str(tmp_path / name))
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_half_written_last_line_is_left_out_and_any_other_bad_line_is_named(tmp_path: Path) -> None:
    ledger, clusters = Ledger(tmp_path), [member("m1")]
    ledger.write(binding(), clusters, {}, decide(binding(), clusters, {}), policy="")
    ledger.close()
    file = tmp_path / "ledger.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2].splitlines()[-1][:40])
    assert fedctl("replay", str(file)).stdout == "1 decisions replayed, 0 differ\n"
    file.write_bytes(b"nonsense\n" + whole)
    refused = fedctl("replay", str(file))
    assert "line 1: this is no line of a ledger" in refused.stdout + refused.stderr
    assert refused.returncode == 1
