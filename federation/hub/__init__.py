"""Controllers on the hub, one folder each; they meet on the API server, never by importing each other.

`decide.py` in each folder is pure (snapshot in, plan out); `controller.py` watches, queues and applies the plan.
"""
