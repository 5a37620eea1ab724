"""Every golden case of an implemented suite holds."""

import json
from pathlib import Path

import pytest

from tests.conformance.run import Result, deviations, results

FOUND = list(results(json.loads((Path(__file__).parent / "cases.json").read_text()), deviations()))


@pytest.mark.parametrize(
    "result", [one for one in FOUND if one.verdict in ("passed", "failed")], ids=lambda one: f"{one.suite}/{one.case}"
)
def test_the_reference_answers_the_same(result: Result) -> None:
    assert result.verdict == "passed", f"expected {result.expected}, came {result.actual}"


def test_every_suite_that_this_version_promises_is_implemented() -> None:
    promised = [
        "webster",
        "divide_by_weight",
        "spread_by_current_replicas",
        "static_weight",
        "dynamic_divide",
        "dynamic_assign",
        "duplicated",
        "assign_replicas",
        "cluster_sort",
        "group_score",
        "select_by_cluster",
        "select_groups",
        "select_by_region",
        "select_clusters",
        "cluster_affinity",
        "zone_match",
        "selector_priority",
        "selector_list_priority",
        "policy_priority",
        "policy_name_order",
        "affinity_start_index",
        "deprioritized_policy_requeue",
        "placement_changed",
        "schedule_condition",
        "filter_plugins",
        "propagation_validation",
        "image_override",
        "image_parse",
        "command_args_override",
        "label_annotation_override",
        "override_order",
        "field_override",
        "general_estimator",
        "summary_component_sets",
        "conflict_resolution",
        "suspend_dispatch",
    ]
    ran = {one.suite for one in FOUND if one.verdict == "passed"}
    assert set(promised) <= ran
