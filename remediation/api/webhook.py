"""The doors for machines: Alertmanager's notifications and StackStorm's callbacks.

Both take JSON whatever the Content-Type says, and answer at once; the work is done by workers.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from django.db import Error
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from remediation import alertmanager
from remediation.alertmanager import Notification
from remediation.api.authentication import TokenAuthentication
from remediation.api.errors import (
    UNREADABLE,
    ErrorAnswerSerializer,
    TooLarge,
    Unavailable,
    UnreadableBody,
    body_error,
)
from remediation.api.negotiation import JsonOnlyNegotiation
from remediation.api.parsers import read_json
from remediation.api.request_context import cache_decoded_body, cause_of
from remediation.engine.intake import receive
from remediation.engine.intake.episodes import Disposition
from remediation.engine.intake.receipts import Receipt
from remediation.engine.outcomes import poll_hints
from remediation.models import Scope

logger = logging.getLogger(__name__)

# What StackStorm's ids and our trace tags are made of, as long as their columns.
ID_PATTERN = re.compile("[!-~]{1,100}")


class ReceiptSerializer(serializers.Serializer[Receipt]):
    """What became of one alert."""

    fingerprint = serializers.CharField()
    alert_name = serializers.CharField()
    disposition = serializers.ChoiceField(choices=[str(word) for word in Disposition])
    buckets = serializers.ListField(child=serializers.CharField())
    runs = serializers.ListField(child=serializers.IntegerField())
    reason = serializers.CharField()
    notes = serializers.ListField(child=serializers.CharField(), required=False)


class NotificationAnswerSerializer(serializers.Serializer[Any]):
    """What became of a notification; ``warning`` tells of alerts that the sender left out."""

    request_id = serializers.CharField()
    status = serializers.ChoiceField(choices=["accepted", "no_alerts"])
    alerts_received = serializers.IntegerField()
    alerts = ReceiptSerializer(many=True)
    truncated_alerts = serializers.IntegerField(required=False)
    warning = serializers.CharField(required=False)


class CallbackAnswerSerializer(serializers.Serializer[Any]):
    """What became of a callback."""

    request_id = serializers.CharField()
    status = serializers.ChoiceField(choices=["accepted", "unchanged", "ignored"])


class MachineView(APIView):
    """A door for programs with a token."""

    authentication_classes = [TokenAuthentication]
    content_negotiation_class = JsonOnlyNegotiation


@extend_schema(
    request={"application/json": {"type": "object"}},
    responses={
        202: NotificationAnswerSerializer,
        400: ErrorAnswerSerializer,
        413: ErrorAnswerSerializer,
        503: ErrorAnswerSerializer,
    },
)
class AlertmanagerWebhook(MachineView):
    """Take a notification of Alertmanager's webhook, version 4, up to 32 MiB."""

    scopes = {"post": Scope.WEBHOOK}

    def post(self, request: Request) -> Response:
        """Store the alerts and make their runs; answer 202 with a receipt per alert."""
        try:
            body = _read_body(request)
            payload = alertmanager.decode(body)
            cache_decoded_body(request, payload)
            notification = alertmanager.read(payload, size=len(body))
        except alertmanager.PayloadError as error:
            raise ParseError(str(error)) from error
        cause = cause_of(request)
        try:
            receipts = receive.receive(
                notification, cause=cause, client=request.META.get("REMOTE_ADDR", "")
            )
        except Error as error:
            # Of whatever kind: Alertmanager sends again only what is answered with 5xx.
            raise Unavailable from error
        answer = {
            "request_id": cause.request_id,
            "status": "accepted" if receipts else "no_alerts",
            "alerts_received": len(receipts),
            # Not by the serializer, which takes as long for one as the transaction for ten.
            "alerts": [_told(receipt) for receipt in receipts],
            **_truncation(notification),
        }
        return Response(answer, status=status.HTTP_202_ACCEPTED)


def _read_body(request: Request) -> bytes:
    """Return the body. Raises UnreadableBody where it helps to send it again, or TooLarge."""
    try:
        body: bytes = request.body
    except UNREADABLE as error:
        cause = body_error(request)
        if isinstance(cause, TooLarge):
            raise cause from error
        # With 4xx Alertmanager would give the alerts up.
        raise UnreadableBody(str(cause.detail)) from error
    return body


def _told(receipt: Receipt) -> dict[str, Any]:
    answer = {name: getattr(receipt, name) for name in ReceiptSerializer._declared_fields}
    if not receipt.notes:
        del answer["notes"]
    return answer


def _truncation(notification: Notification) -> dict[str, Any]:
    """Return the warning for the alerts that the sender left out, if it did."""
    count = notification.truncated_alerts
    if not count:
        return {}
    warning = (
        f"Alertmanager left out {count} alerts of this group and may never send them: set"
        " max_alerts to 0 in its webhook_config."
    )
    logger.warning("Receiver %s: %s", notification.receiver, warning)
    return {"truncated_alerts": count, "warning": warning}


@extend_schema(
    request={
        "application/json": {
            "type": "object",
            "properties": {
                "execution_id": {"type": "string"},
                "data": {"type": "object", "properties": {"trace_tag": {"type": "string"}}},
            },
        }
    },
    responses={200: CallbackAnswerSerializer, 400: ErrorAnswerSerializer},
)
class StackStormWebhook(MachineView):
    """Take StackStorm's word that an execution has moved; what it says is asked of StackStorm."""

    scopes = {"post": Scope.STACKSTORM}

    def post(self, request: Request) -> Response:
        """Make the poll of the execution due now."""
        body = read_json(request.body)
        if not isinstance(body, dict):
            raise ParseError("The body is no JSON object: send one with execution_id.")
        data = body.get("data")
        trace_tag = data.get("trace_tag") if isinstance(data, dict) else None
        st2_execution_id = _read_id("execution_id", body.get("execution_id"))
        trace_tag = _read_id("data.trace_tag", trace_tag)
        if not st2_execution_id and not trace_tag:
            text = "It is missing: send StackStorm's id of the execution, or data.trace_tag."
            raise ValidationError({"execution_id": [text]})
        word = poll_hints.hint(st2_execution_id=st2_execution_id, trace_tag=trace_tag)
        return Response({"request_id": cause_of(request).request_id, "status": word})


def _read_id(name: str, value: Any) -> str:
    """Return an id, or '' for none. Raises ValidationError for what cannot be one."""
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not ID_PATTERN.fullmatch(value):
        raise ValidationError({name: ["Send a string of at most 100 printable ASCII characters."]})
    return value
