"""Federation: a control plane that runs native Kubernetes objects on many clusters."""
