"""The HTTP API: the doors for Alertmanager and StackStorm, and everything that people read."""
