"""Admission: what the schema and CEL cannot say about an object, answered while its author still looks.

`review.py` and `reviews/` are pure: a request and a snapshot in, a verdict out; `impact.py`, which says what a change would move, is too,
and `foretell.py` feeds it from the caches within a time. `server.py` speaks TLS to API servers,
`certificates.py` makes what it speaks with, `registration.py` says when it is called; `run.py` wires them.
Nothing relies on it: an API server that does not reach it goes on (docs/admission.md says why, for each kind).
"""

from federation.admission.registration import url_problem
from federation.admission.run import Admission, withdraw

__all__ = ["Admission", "url_problem", "withdraw"]
