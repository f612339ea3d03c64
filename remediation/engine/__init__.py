"""The engine: stores alerts, launches executions and records their outcomes.

Read the packages in this order; each lists its modules in reading order:

- ``intake``: store a notification and create the runs of matching buckets.
- ``guards``: check whether a run may start.
- ``launching``: start due executions in StackStorm or locally.
- ``outcomes``: follow started executions, record their outcomes and advance their runs.
- ``operations``: the requests of operators and scripts.

The modules beside them are used by several packages.
"""
