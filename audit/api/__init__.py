"""The record over HTTP, read-only: the calls, and the whole story of one request_id."""
