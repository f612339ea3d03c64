"""Follow executions to their end: poll, stream, settle, advance."""
