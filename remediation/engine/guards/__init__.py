"""Guards: checks that decide whether a run may start; one guard per module."""
