"""Webhooks for Alertmanager's notifications and StackStorm's callbacks.

Both accept JSON with any Content-Type and respond at once; workers do the work.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

from django.db import Error
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from remediation import alertmanager
from remediation.alertmanager import Notification
from remediation.api.authentication import TokenAuthentication, TokenUser, find_again
from remediation.api.credentials import has_credentials
from remediation.api.errors import (
    BODY_READ_ERRORS,
    TooLarge,
    Unavailable,
    UnreadableBody,
    unreadable_body_reason,
)
from remediation.api.parsers import read_json
from remediation.api.request_context import MachineRequest, cache_decoded_body
from remediation.engine.intake.deliveries import Delivery
from remediation.engine.intake.episodes import Disposition
from remediation.engine.intake.group_commit import GroupCommit
from remediation.engine.intake.receipts import Receipt
from remediation.engine.intake.receive import UnconfirmedToken
from remediation.engine.outcomes import poll_hints
from remediation.engine.totals.definitions import ALERTS_RECEIVED, ALERTS_TRUNCATED
from remediation.models import ApiToken, Cause, Scope

logger = logging.getLogger(__name__)

LOGGED_RUNS_MAX = 100

_group = GroupCommit()

# StackStorm ids and trace tags; the length is that of their columns.
ID_PATTERN = re.compile("[!-~]{1,100}")
ID_SCHEMA = {"type": "string", "pattern": "^[!-~]{1,100}$"}
# Null and an empty string mean that there is none.
OPTIONAL_ID_SCHEMA = {"type": "string", "pattern": "^[!-~]{0,100}$", "nullable": True}
ID_ADVICE = "Send a string of at most 100 printable ASCII characters."


class ReceiptSerializer(serializers.Serializer[Receipt]):
    """The result of one alert."""

    fingerprint = serializers.CharField()
    alert_name = serializers.CharField()
    disposition = serializers.ChoiceField(choices=[str(disposition) for disposition in Disposition])
    buckets = serializers.ListField(child=serializers.CharField())
    runs = serializers.ListField(child=serializers.IntegerField())
    reason = serializers.CharField()
    notes = serializers.ListField(child=serializers.CharField(), required=False)


class NotificationResponseSerializer(serializers.Serializer[Any]):
    """The result of a notification. ``warning``: the sender truncated the alerts."""

    request_id = serializers.CharField()
    status = serializers.ChoiceField(choices=["accepted", "no_alerts"])
    alerts_received = serializers.IntegerField()
    alerts = ReceiptSerializer(many=True)
    truncated_alerts = serializers.IntegerField(required=False)
    warning = serializers.CharField(required=False)


class CallbackResponseSerializer(serializers.Serializer[Any]):
    """Whether the callback caused a poll."""

    request_id = serializers.CharField()
    status = serializers.ChoiceField(choices=["accepted", "unchanged", "ignored"])


class TokenOnlyView(APIView):
    """Base view of endpoints that accept tokens but no sessions.

    Their responses only contain what the sender sent, so nothing is masked.
    """

    authentication_classes = [TokenAuthentication]
    renderer_classes = [JSONRenderer]
    requires_body = True


@extend_schema(
    request={
        "application/json": {
            "type": "object",
            "required": ["alerts"],
            "properties": {
                "alerts": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["labels"],
                        "properties": {"labels": {"type": "object"}},
                    },
                }
            },
        }
    },
    responses={202: NotificationResponseSerializer},
)
class AlertmanagerWebhook(TokenOnlyView):
    """Receive an Alertmanager webhook notification, version 4, up to 32 MiB."""

    scopes = {"post": Scope.WEBHOOK}

    def post(self, request: Request) -> Response:
        """Store the alerts, create their runs and return 202 with a receipt per alert."""
        failure: Exception | None = getattr(request._request, "failure", None)
        if failure is not None:
            raise failure
        return Response(
            _receive(cast("MachineRequest", request._request)), status=status.HTTP_202_ACCEPTED
        )


def answer_notification(request: MachineRequest) -> HttpResponseBase:
    """Return the response of AlertmanagerWebhook to a POST, without its costs if it is a success.

    The ``recent_token`` is confirmed before anything is stored. Before any other response, the view
    asks the database for the token.
    """
    token = request.recent_token
    if token is not None and token.allows(Scope.WEBHOOK):
        request.user = TokenUser(token.name)
        try:
            result = _receive(request, token=token)
        except UnconfirmedToken:
            pass
        except Exception as error:  # noqa: BLE001 - the view handles it
            request.failure = error
        else:
            return HttpResponse(
                JSONRenderer().render(result),
                status=status.HTTP_202_ACCEPTED,
                content_type="application/json",
                headers={"Allow": "POST, OPTIONS"},
            )
    request.recent_token = None
    find_again(request)
    request.has_credentials = has_credentials(request)
    return _notification_view(request)


_notification_view: Callable[[HttpRequest], HttpResponseBase] = AlertmanagerWebhook.as_view()


def _receive(request: MachineRequest, *, token: ApiToken | None = None) -> dict[str, Any]:
    """Store the alerts, create their runs, record the call and return the response.

    ``token``: a recent one, to confirm. Raises UnconfirmedToken.
    """
    try:
        body = _read_body(request)
        payload = alertmanager.decode(body)
        cache_decoded_body(request, payload)
        notification = alertmanager.read(payload, size=len(body))
    except alertmanager.PayloadError as error:
        raise ParseError(str(error)) from error
    cause = Cause.of_request(request)

    def record(receipts: Sequence[Receipt]) -> Model:
        content = _response(receipts, notification, request_id=cause.request_id)
        return request.call_record.row(status.HTTP_202_ACCEPTED, JSONRenderer().render(content))

    delivery = Delivery(
        notification,
        cause,
        client=cause.client_host,
        token=token,
        record=record if request.call_record.prepare() else None,
    )
    try:
        stored = _group.receive(delivery)
    except Error as error:
        # Any database error is a 503: Alertmanager retries only after a 5xx.
        raise Unavailable from error
    request.call_record.is_stored = stored.is_recorded
    if stored.is_recorded:
        request.pause = stored.pause
    _count_and_log(stored.receipts, notification)
    return _response(stored.receipts, notification, request_id=cause.request_id)


def _response(
    receipts: Sequence[Receipt], notification: Notification, *, request_id: str
) -> dict[str, Any]:
    response: dict[str, Any] = {
        "request_id": request_id,
        "status": "accepted" if receipts else "no_alerts",
        "alerts_received": len(receipts),
        # Without the serializer: it takes as long for 1 alert as the transaction for 10.
        "alerts": [_receipt_fields(receipt) for receipt in receipts],
    }
    if notification.truncated_alerts:
        response["truncated_alerts"] = notification.truncated_alerts
        response["warning"] = _truncation_warning(notification)
    return response


def _receipt_fields(receipt: Receipt) -> dict[str, Any]:
    fields = {name: getattr(receipt, name) for name in ReceiptSerializer._declared_fields}
    if not receipt.notes:
        del fields["notes"]
    return fields


def _truncation_warning(notification: Notification) -> str:
    return (
        f"Alertmanager truncated {notification.truncated_alerts} alerts of this group and may never"
        " send them. Set max_alerts to 0 in its webhook_config."
    )


def _count_and_log(receipts: Sequence[Receipt], notification: Notification) -> None:
    """Count and log the alerts by disposition, the runs and the truncated alerts."""
    counts = Counter(receipt.disposition.value for receipt in receipts)
    for disposition, count in counts.items():
        ALERTS_RECEIVED.add(count, disposition=disposition)
    runs = [run for receipt in receipts for run in receipt.runs]
    logger.info(
        "Alerts from %s: %s. New runs: %s",
        notification.receiver,
        ", ".join(f"{count} {name}" for name, count in counts.items()) or "none",
        len(runs),
        extra={
            "event": "alerts.received",
            "receiver": notification.receiver,
            "alerts": len(receipts),
            "dispositions": dict(counts),
            "runs": runs[:LOGGED_RUNS_MAX],
        },
    )
    if notification.truncated_alerts:
        ALERTS_TRUNCATED.add(notification.truncated_alerts)
        text = _truncation_warning(notification)
        logger.warning("Receiver %s: %s", notification.receiver, text)


def _read_body(request: HttpRequest) -> bytes:
    """Return the body. Raises TooLarge, or UnreadableBody so that the sender retries."""
    try:
        body: bytes = request.body
    except BODY_READ_ERRORS as error:
        cause = unreadable_body_reason(request)
        if isinstance(cause, TooLarge):
            raise cause from error
        # After a 4xx, Alertmanager would drop the alerts.
        raise UnreadableBody(str(cause.detail)) from error
    return body


@extend_schema(
    request={
        "application/json": {
            "type": "object",
            "properties": {
                "execution_id": OPTIONAL_ID_SCHEMA,
                "data": {"properties": {"trace_tag": OPTIONAL_ID_SCHEMA}},
            },
            "anyOf": [
                {"required": ["execution_id"], "properties": {"execution_id": ID_SCHEMA}},
                {
                    "required": ["data"],
                    "properties": {
                        "data": {
                            "type": "object",
                            "required": ["trace_tag"],
                            "properties": {"trace_tag": ID_SCHEMA},
                        }
                    },
                },
            ],
        }
    },
    responses={200: CallbackResponseSerializer},
)
class StackStormWebhook(TokenOnlyView):
    """Receive a StackStorm callback. Its content is not trusted; a worker polls StackStorm."""

    scopes = {"post": Scope.STACKSTORM}

    def post(self, request: Request) -> Response:
        """Poll the execution now."""
        body = read_json(request.body)
        if not isinstance(body, dict):
            raise ParseError("The body must be a JSON object with execution_id.")
        data = body.get("data")
        sent = {
            "execution_id": body.get("execution_id"),
            "data.trace_tag": data.get("trace_tag") if isinstance(data, dict) else None,
        }
        if problems := {name: [ID_ADVICE] for name, value in sent.items() if not _is_id(value)}:
            raise ValidationError(problems)
        st2_execution_id, trace_tag = (value or "" for value in sent.values())
        if not st2_execution_id and not trace_tag:
            text = "Required: the StackStorm execution id, or data.trace_tag."
            raise ValidationError({"execution_id": [text]})
        hint_status = poll_hints.hint(st2_execution_id=st2_execution_id, trace_tag=trace_tag)
        return Response({"request_id": Cause.of_request(request).request_id, "status": hint_status})


def _is_id(value: Any) -> bool:
    """Return whether a value is an id, or stands for none."""
    return value in (None, "") or (isinstance(value, str) and bool(ID_PATTERN.fullmatch(value)))
