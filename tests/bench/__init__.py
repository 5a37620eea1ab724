"""Measurements, on demand: `make bench`. A report, never asserted; ratios of one run are what counts."""
