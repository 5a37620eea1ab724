"""Talking to API servers: transport, credentials, client, reflector and store, work queue, lease.

Knows Kubernetes, not federation. Everything goes through the `Transport` seam, so tests, simulations and production
share all code above it.
"""
