"""What a kind means: replicas, requirements, health, facts, the template's status, what to prune and to retain.

Pure, and keyed by API group and kind: a Job of another group is no Job (it is in Karmada, karmada.md 3.5.3).
"""

from federation.interpret.aggregate import aggregate
from federation.interpret.components import Component, components_of
from federation.interpret.facts import facts_of, summary_of
from federation.interpret.prune import prune
from federation.interpret.replicas import completions_of, divisible, replicas_of, set_share, surge_of
from federation.interpret.requirements import Requirements, requirements_of
from federation.interpret.retain import ours_alone, retain
from federation.interpret.trouble import Trouble, progress_deadline

__all__ = [
    "Component",
    "Requirements",
    "Trouble",
    "aggregate",
    "completions_of",
    "components_of",
    "divisible",
    "facts_of",
    "ours_alone",
    "progress_deadline",
    "prune",
    "replicas_of",
    "requirements_of",
    "retain",
    "set_share",
    "summary_of",
    "surge_of",
]
