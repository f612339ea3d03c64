"""Follow started executions until they end: poll, stream, settle, advance.

Modules in reading order:

- ``poll``: read the status of running executions from StackStorm.
- ``poll_schedule``, ``poll_interval``: which executions are polled now, and the time between polls.
- ``poll_hints``: make a poll due at once, after a callback or an event.
- ``stream``: read StackStorm's event stream.
- ``execution_ids``: find our executions by StackStorm's ids.
- ``remote_status``: store StackStorm's status of an unfinished execution.
- ``deadlines``, ``remote_cancel``: time limits, and cancellation in StackStorm.
- ``open_inquiries``, ``stored_inquiries``, ``inquiry_display``: find, store and show inquiries.
- ``traces``, ``duplicates``: find the executions of one launch; cancel duplicates.
- ``remote_outcomes``: settle an execution with the outcome that StackStorm reports.
- ``outcome``: our status, reason and columns for an outcome.
- ``inquiry_outcomes``, ``workflow_tasks``: outcomes of inquiries and of a workflow's tasks.
- ``settle``: record outcomes and advance the runs in one transaction.
- ``advance``: create the next attempt or step of a run, or finish the run.
- ``reruns``: record executions that users start again in StackStorm.
"""
