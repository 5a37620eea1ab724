"""What kwok does with nodes and pods: its own stages, and two of ours for failures that belong to an image.

An image with `does-not-exist` in its name is never pulled (ErrImagePull); one with `exit-1` runs and fails. So a plain
template edit makes a rollout fail, as it does for users.
"""

from pathlib import Path
from typing import Any

import yaml

USED = ("node/fast", "node/heartbeat-with-lease", "pod/fast", "pod/chaos")
BAD_IMAGE = '.spec.containers.[] | select( .image | test("does-not-exist") ) | .name'
FAILING = '.spec.containers.[] | select( .image | test("exit-1") ) | .name'

_BAD_IMAGE_STATUS = """
{{ $now := Now }}
conditions:
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: Initialized}
- {lastTransitionTime: {{ $now | Quote }}, status: "False", type: Ready, reason: ContainersNotReady}
- {lastTransitionTime: {{ $now | Quote }}, status: "False", type: ContainersReady, reason: ContainersNotReady}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: false
  started: false
  restartCount: 0
  state: {waiting: {reason: ImagePullBackOff, message: "Back-off pulling image"}}
{{ end }}
phase: Pending
startTime: {{ $now | Quote }}
"""
_FAILED_STATUS = """
{{ $now := Now }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: false
  started: false
  restartCount: 0
  state: {terminated: {exitCode: 1, reason: Error, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
{{ end }}
phase: Failed
"""


def write_stages(kwok_stages: Path, target: Path) -> None:
    """One file with every stage that a member's simulated nodes need."""
    stages: list[dict[str, Any]] = []
    for folder in USED:
        for file in sorted((kwok_stages / folder).glob("*.yaml")):
            if file.name != "kustomization.yaml":
                stages += [stage for stage in yaml.safe_load_all(file.read_text()) if stage]
    for stage in stages:
        if stage["metadata"]["name"] == "pod-ready":
            _require(stage, BAD_IMAGE, "DoesNotExist")
        if stage["metadata"]["name"] == "pod-complete":
            _require(stage, FAILING, "DoesNotExist")
    stages.append(_pod_stage("pod-bad-image", BAD_IMAGE, _BAD_IMAGE_STATUS, unless=".status.containerStatuses"))
    stages.append(_pod_stage("pod-exit-1", FAILING, _FAILED_STATUS, phase="Running"))
    target.write_text(yaml.safe_dump_all(stages))


def _require(stage: dict[str, Any], key: str, operator: str) -> None:
    stage["spec"]["selector"].setdefault("matchExpressions", []).append({"key": key, "operator": operator})


def _pod_stage(name: str, key: str, status: str, *, phase: str = "Pending", unless: str = "") -> dict[str, Any]:
    expressions = [
        {"key": key, "operator": "Exists"},
        {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
        {"key": ".status.phase", "operator": "In", "values": [phase]},
    ]
    if unless:
        expressions.append({"key": unless, "operator": "DoesNotExist"})
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": expressions},
            "next": {"statusTemplate": status},
        },
    }
