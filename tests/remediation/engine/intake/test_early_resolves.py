"""If two processes store a firing alert and its resolve at once, one of them retries."""

import json

import pytest
from django.db import OperationalError
from django.utils import timezone

from remediation.alertmanager import IncomingAlert, parse
from remediation.engine.intake.early_resolves import EarlyResolves
from remediation.engine.transaction_retries import is_transient
from remediation.models import EarlyResolve
from tests.factories import LABELS, alert_payload, make_alert, notification_body

pytestmark = pytest.mark.django_db


def test_a_resolve_is_retried_if_its_episode_was_opened_concurrently():
    body = notification_body(alert_payload(status="resolved"))
    [resolve] = parse(json.dumps(body).encode()).alerts
    early = EarlyResolves()
    assert isinstance(resolve, IncomingAlert)
    early.add(resolve, at=timezone.now())
    concurrent = make_alert(fingerprint=resolve.fingerprint, active_fingerprint=resolve.fingerprint)

    early._check_firings([concurrent])
    with pytest.raises(OperationalError) as caught:
        early._check_firings([])

    assert is_transient(caught.value)


def test_a_firing_alert_is_retried_if_its_resolve_was_stored_concurrently():
    [resolve] = parse(json.dumps(notification_body(alert_payload())).encode()).alerts
    concurrent = EarlyResolves()
    assert isinstance(resolve, IncomingAlert)
    concurrent.add(resolve, at=timezone.now())
    concurrent.write([])
    alert = make_alert(labels=LABELS)

    with pytest.raises(OperationalError) as caught:
        EarlyResolves()._check_resolves([alert])

    assert is_transient(caught.value)
    EarlyResolves(
        known=dict.fromkeys(concurrent.written, EarlyResolve.objects.get())
    )._check_resolves([alert])
