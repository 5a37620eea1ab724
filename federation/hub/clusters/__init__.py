"""Health, version, API list and resources of every member, into Cluster.status."""
