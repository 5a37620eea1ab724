"""Binding to decision: when a binding needs a new decision, and writing it."""
