"""Receive notifications: store alerts, match them to buckets, create runs."""
