"""Serializers of the API, by noun."""
