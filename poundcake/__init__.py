"""The composition root: settings, urls, health and wsgi."""
