"""View of the pause."""

from __future__ import annotations

import datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from remediation import clock
from remediation.api import filter_types
from remediation.api.idempotency import respond_once
from remediation.api.parsers import ObjectParser
from remediation.api.serializers.pause import PauseBody, PauseSerializer
from remediation.api.serializers.strict import read_body
from remediation.engine.operations import pause
from remediation.models import Cause, Pause, Scope


class PauseView(APIView):
    """The pause. While paused, no machine starts new executions."""

    parser_classes = [ObjectParser]
    keyed_actions = frozenset({"post", "delete"})
    scopes = {"get": Scope.READ, "post": Scope.OPERATE, "delete": Scope.OPERATE}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Reject query parameters; this view reads none."""
        super().initial(request, *args, **kwargs)
        filter_types.reject_parameters(request)

    @extend_schema(responses=PauseSerializer)
    def get(self, _request: Request) -> Response:
        """Return the pause and the executions in flight."""
        return Response(_pause_data())

    @extend_schema(request=PauseBody, responses=PauseSerializer)
    def post(self, request: Request) -> Response:
        """Start a pause, or replace the active one."""
        body, cause = read_body(PauseBody, request), Cause.of_request(request)
        expires_at = body.get("expires_at")
        if "for_seconds" in body:
            expires_at = cause.at + datetime.timedelta(seconds=body["for_seconds"])

        def operate() -> Any:
            try:
                pause.pause(reason=body["reason"], expires_at=expires_at, cause=cause)
            except pause.InvalidPause as error:
                name, _, text = str(error).partition(": ")
                raise ValidationError({name: [text]}) from error
            return _pause_data()

        return respond_once(request, operate)

    @extend_schema(request=None, responses={200: PauseSerializer})
    def delete(self, request: Request) -> Response:
        """End the pause. Without a pause this has no effect."""
        cause = Cause.of_request(request)

        def operate() -> Any:
            pause.resume(cause=cause)
            return _pause_data()

        return respond_once(request, operate)


def _pause_data() -> Any:
    current = Pause.current(at=clock.now())
    state = {
        "paused": current is not None,
        "reason": current.reason if current else "",
        "actor": current.actor if current else "",
        "actor_kind": current.actor_kind if current else "",
        "since": current.created_at if current else None,
        "expires_at": current.expires_at if current else None,
        "in_flight": pause.in_flight(),
    }
    return PauseSerializer(state).data
