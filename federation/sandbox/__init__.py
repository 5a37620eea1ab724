"""An API server in this process and simulated members: for tests, and to try things out without a cluster.

`ApiServer(name="member1").client()` is a client of a fresh server; `Member` is a server whose workloads settle.

What it does is what `tests/integration/test_api_semantics.py` says, which runs against real servers too. It lacks:

- authentication, authorization, admission, webhooks, quotas, priority and fairness; tokens are not checked;
- schemas: nothing is validated, pruned or defaulted by a CustomResourceDefinition, unknown fields are kept, and
  versions are converted by changing apiVersion only;
- most defaults and most validation of built-in kinds (see `defaults` and `rules`);
- strategic merge patch, tables, protobuf, and the subresources scale, eviction, binding, finalize, log, exec;
- graceful deletion of pods: deleted pods are gone at once;
- controllers, apart from garbage collection and the deletion of namespaces and definitions, which happen at once;
- reads of the past: resourceVersion in lists is only checked, and a continue token keeps its own snapshot.
"""

from federation.sandbox.member import Member
from federation.sandbox.server import ApiServer, SandboxTransport

__all__ = ["ApiServer", "Member", "SandboxTransport"]
