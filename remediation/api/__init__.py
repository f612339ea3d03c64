"""HTTP API: webhooks for Alertmanager and StackStorm, definitions, history and operations."""
