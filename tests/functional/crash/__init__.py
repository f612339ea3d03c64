"""Processes that are cut off at every point between a webhook and the end of its run."""
