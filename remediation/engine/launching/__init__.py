"""Launch due executions: launch order, rendering, claim, call, response, look-up, recovery."""
