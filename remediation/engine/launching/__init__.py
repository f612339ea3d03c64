"""Start due executions: order, claim, parameters, request, look-up."""
