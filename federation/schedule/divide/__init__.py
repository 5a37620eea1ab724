"""Dividing a number of replicas over clusters; specified in docs/scheduling.md. Pure integer arithmetic."""
