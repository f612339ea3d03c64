"""``/metrics``: what PoundCake does, in Prometheus' format.

- ``view``: the endpoint
- ``totals``: counters and histograms, which are the same on every machine
- ``gauges``: the work in flight, from indexes and small tables
"""
