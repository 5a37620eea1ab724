"""The life cycle of Cluster objects, a human-paced kind: join, credentials, leave. Handlers run in kopf (see `run`).

What a join does to a member is in `join` and `rights`, shared with `fedctl`; what the handlers decide is in `lifecycle`
and `leave`, which know nothing of kopf.
"""

from federation.operator.run import OperatorSettings, run_operator

__all__ = ["OperatorSettings", "run_operator"]
