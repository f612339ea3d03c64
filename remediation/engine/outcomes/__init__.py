"""Track started executions until they end: poll, stream, settle, advance."""
