"""What people and automation ask for: pause, retry, definitions, previews."""
