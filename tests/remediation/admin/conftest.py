"""Fixtures for the tests of admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def operator(db: None) -> Client:
    """Return a client signed in as a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("maria"))
    return client
