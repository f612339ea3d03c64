"""Audit trail: recorded API calls, request ids and report pages."""
