"""Totals of the metrics, which survive restarts and are the same on all machines.

- ``definitions``: the counters and histograms
- ``transition_counts``: what a transition adds to them
- ``positions``: which transitions are not counted yet
- ``advance``: the follow worker counts them
- ``flush``: each process adds what it counted itself
- ``current``: the values that ``/metrics`` shows

ADR 0011 explains the design.
"""
