"""A firing and its resolve in two processes at once: one of the transactions is repeated."""

import json

import pytest
from django.db import OperationalError
from django.utils import timezone

from remediation.alertmanager import parse
from remediation.engine.intake.early_resolves import EarlyResolves
from remediation.engine.retries import is_transient
from remediation.models import EarlyResolve
from tests.factories import LABELS, alert_payload, make_alert, notification_body

pytestmark = pytest.mark.django_db


def test_an_episode_that_was_opened_meanwhile_repeats_the_resolve():
    body = notification_body(alert_payload(status="resolved"))
    [resolve] = parse(json.dumps(body).encode()).alerts
    early = EarlyResolves()
    early.remember(resolve, at=timezone.now())
    meanwhile = make_alert(fingerprint=resolve.fingerprint, active_fingerprint=resolve.fingerprint)

    early._check_firings([meanwhile])
    with pytest.raises(OperationalError) as caught:
        early._check_firings([])

    assert is_transient(caught.value)


def test_a_resolve_that_was_remembered_meanwhile_repeats_the_firing():
    [resolve] = parse(json.dumps(notification_body(alert_payload())).encode()).alerts
    meanwhile = EarlyResolves()
    meanwhile.remember(resolve, at=timezone.now())
    meanwhile.write([])
    alert = make_alert(labels=LABELS)

    with pytest.raises(OperationalError) as caught:
        EarlyResolves()._check_resolves([alert])

    assert is_transient(caught.value)
    EarlyResolves(
        known=dict.fromkeys(meanwhile.written, EarlyResolve.objects.get())
    )._check_resolves([alert])
