"""What happened, kept and shown: API calls, request ids and report pages."""
