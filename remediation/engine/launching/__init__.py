"""Launch due executions: launch order, rendering, claim, call, response, look-up, recovery.

Modules in reading order:

- ``launch``: one batch of due executions; calls the other modules.
- ``launch_order``: by priority, then round-robin over buckets, oldest first.
- ``prepared_launch``: prepare and claim executions, and send a launch.
- ``preparation``: reserve and render executions; count the attempts.
- ``parameters``: render the parameters of one execution.
- ``action_refresh``, ``action_metadata``: fetch and store StackStorm's metadata of actions.
- ``claim``: claim executions in one transaction, after the guards.
- ``restored_launches``: what may have been launched before a backup was restored.
- ``local_launch``: run a local action.
- ``launch_responses``: record the response to each launch.
- ``started_executions``, ``rejected_launches``: an accepted and a rejected launch.
- ``changed_actions``: cancel a launch whose action has changed in StackStorm.
- ``lookup``: search StackStorm for a launch without a response.
- ``late_results``: results that arrive after the lease.
- ``recover``: executions whose worker died.
- ``launch_timeout``: end executions that were not started in time.
- ``future_due_times``: correct due times that a wrong clock wrote.
"""
