"""Guards: checks that decide whether a run may start; one guard per module.

- ``cooldown``: a bucket's automatic runs start at most once per identity and ``cooldown_seconds``.

``launching.claim`` calls the guards and also checks for disabled buckets and actions.
"""
