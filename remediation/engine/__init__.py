"""The engine: stores alerts, launches executions and records their outcomes.

``intake`` stores notifications and creates runs, ``launching`` starts due executions, ``outcomes``
records their results and advances runs, ``operations`` holds what operators request.
"""
