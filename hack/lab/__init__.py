"""Real Kubernetes clusters on one machine: etcd, API server, controllers, scheduler and simulated nodes as plain processes.

`hack/clusters` is the command; tests use `ClusterSet`. Facts behind the flags: measured start-up, memory and idle CPU of
each variant, kept in docs/clusters.md.
"""
