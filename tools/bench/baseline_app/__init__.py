"""A minimal Django application for a webhook: it writes one row for each call."""
