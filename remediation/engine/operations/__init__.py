"""Operations that users and scripts request: pause, retry, set outcome, edit, simulate.

Modules in reading order (``engine.cancel`` stops and cancels runs):

- ``errors``: the error that all operations raise.
- ``pause``: pause and resume launches.
- ``retry``: retry a run, run a bucket manually, match an alert again.
- ``set_outcome``: set the outcome of an unknown execution.
- ``definitions``: save buckets, steps and actions, each with a bucket version.
- ``definition_etags``: entity tags, for If-Match.
- ``repeated_requests``: perform an operation once for a caller's key.
- ``bucket_warnings``: warn about probable mistakes in a saved bucket.
- ``action_check``: check all actions against StackStorm.
- ``explanation``: why each bucket matches an alert, or why not.
- ``simulation``: what a bucket would do for an alert.
"""
