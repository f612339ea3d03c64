"""The composition root: settings, URLs, health, metrics and WSGI."""
