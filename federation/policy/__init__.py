"""Policies as rules: selectors, which policy wins, what is never propagated, overrides, validation.

Pure: data in, data out; no I/O, no clock, nothing from `federation.kube`.
"""
