"""The engine: one use case a file.

``intake`` takes a notification and makes runs, ``launch`` starts what is due, ``settle`` takes
outcomes and moves runs on, ``recover`` rescues what a dead process left.
"""
