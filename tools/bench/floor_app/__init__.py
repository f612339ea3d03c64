"""The least that any Django application does which takes a webhook: one row for each call."""
