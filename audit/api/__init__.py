"""Read-only API of the recorded calls and of the story of a request_id."""
