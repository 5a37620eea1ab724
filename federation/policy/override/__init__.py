"""Overrides: what OverridePolicies and ClusterOverridePolicies change in an object on its way to one cluster.

One module per overrider, all of one shape (`FIELD` and `override`), registered in their order in `apply.py`.
"""

from federation.policy.override.apply import Overridden, render_overrides
from federation.policy.override.order import OverrideFacts
from federation.policy.override.rule import OverrideError

__all__ = ["Overridden", "OverrideError", "OverrideFacts", "render_overrides"]
