"""Rebalance to bindings: ask for a fresh decision of each named workload, and say what became of it."""
