"""Take notifications: alerts, the buckets that take them, and their runs."""
