"""People who look at admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def operator(db: None) -> Client:
    """Return the browser of a person who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("maria"))
    return client
