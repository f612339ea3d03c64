"""Checks that decide whether a run may begin; one guard per file."""
