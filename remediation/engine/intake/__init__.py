"""Receive notifications: store alerts, match them to buckets, create runs.

Modules in reading order:

- ``group_commit``: the notifications that wait at the same time share one transaction.
- ``receive``: repeats a failed transaction with less in it, down to single alerts.
- ``deliveries``: the transaction; calls the other modules.
- ``alert_changes``: apply the alerts to their episodes and write the changes.
- ``episodes``: which episode an alert belongs to, and how it changes that episode.
- ``early_resolves``: resolves that arrive before their firing alert.
- ``rejections``: store and log invalid alerts.
- ``assignment``: match alerts to buckets; the runs to create.
- ``bucket_cache``: the compiled buckets that ``assignment`` uses.
- ``status_changes``: transitions of alerts; skip or stop runs of alerts that ended.
- ``new_runs``: save the runs and their first executions, and wake the workers.
- ``receipts``: the result of each alert, for the response.
"""
