"""The OpenAPI schema of an operation, with the errors and headers that it can have."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from remediation.api.error_examples import EXAMPLES, example
from remediation.api.errors import ErrorResponseSerializer
from remediation.api.filter_types import VALUES_MAX
from remediation.api.idempotency import HEADER, KEY_LENGTH_MAX, REPLAYED_HEADER
from remediation.api.serializers.strict import StrictBody
from remediation.models.text_lookups import SEARCH_LENGTH_MAX

DESCRIPTIONS = {
    400: "The request is invalid; `fields` has the reasons.",
    401: "The credentials are missing or invalid.",
    403: "The caller lacks the scope.",
    404: "There is no such object.",
    409: "The state of the object does not allow it, and nothing has changed.",
    412: "If-Match does not have the current ETag.",
    413: "The body is too large.",
    415: "The body has another media type or coding.",
    422: "The Idempotency-Key belongs to another request.",
    503: "The database is unavailable, or the body of a webhook is not readable. Retry.",
}
IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    pattern=r'^(\*|"[!#-~]*")$',
    description="The ETag that the object must have, or *.",
)
IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    pattern=rf"^[!#-~]{{1,{KEY_LENGTH_MAX}}}$",
    description="A repeated request with the same key returns the first response.",
)
TEXT_HEADER: dict[str, Any] = {"schema": {"type": "string"}}


class DocumentedSchema(AutoSchema):
    """Adds the errors of each operation with examples, and the headers of some.

    A view lists its actions with If-Match in ``if_match_actions``, and those with Idempotency-Key
    in ``keyed_actions``, and those whose body is required although each field of it is optional in
    ``required_body_actions``. It sets ``requires_body`` if no serializer describes its body.
    """

    def get_override_parameters(self) -> list[Any]:
        """Return the parameters of the view and the headers of the operation."""
        parameters = list(super().get_override_parameters())
        if self._is_in("if_match_actions"):
            parameters.append(IF_MATCH)
        if self._is_in("keyed_actions"):
            parameters.append(IDEMPOTENCY_KEY)
        return parameters

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]  # untyped
        if isinstance(serializer, StrictBody):
            schema["additionalProperties"] = False
        return schema

    def _get_request_body(self, direction: Any = "request") -> Any:
        body = super()._get_request_body(direction)  # type: ignore[no-untyped-call]  # untyped
        is_required = getattr(self.view, "requires_body", False)
        if body and (is_required or self._is_in("required_body_actions")):
            body["required"] = True
        return body

    def _map_serializer_field(
        self, field: Any, direction: Any, bypass_extensions: Any = False
    ) -> Any:
        if isinstance(field, serializers.ChoiceField) and field.read_only:
            # REST framework does not read this for columns that are not editable.
            model: Any = getattr(getattr(field.parent, "Meta", None), "model", None)
            field.allow_blank = bool(model and model._meta.get_field(field.source).blank)
        return super()._map_serializer_field(field, direction, bypass_extensions)  # type: ignore[no-untyped-call]  # untyped

    def _get_filter_parameters(self) -> Any:
        parameters = super()._get_filter_parameters()  # type: ignore[no-untyped-call]  # untyped
        for parameter in parameters:
            schema = parameter["schema"]
            if schema["type"] == "integer":
                schema.update(minimum=0, maximum=2**63 - 1)
            elif schema["type"] == "array":
                schema["maxItems"] = VALUES_MAX
            elif schema["type"] == "string" and not {"enum", "format"} & set(schema):
                schema.update(minLength=1, maxLength=SEARCH_LENGTH_MAX)
        return parameters

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        for status, body in bodies.items():
            body["headers"] = self._headers_of(int(status))
        for error in self._error_statuses():
            bodies[str(error)] = self._error_response(error, direction)
        return dict(sorted(bodies.items()))

    def _error_statuses(self) -> set[int]:
        statuses = {400, 401, 403, 503}
        if self.method in ("POST", "PUT", "PATCH"):
            statuses |= {413, 415}
        if "{" in self.path:
            statuses.add(404)
        if self._is_in("if_match_actions"):
            statuses |= {409, 412}
        if getattr(self.view, "action", "") == "create":
            statuses.add(409)
        if self._is_in("keyed_actions"):
            statuses |= {409, 413, 415, 422}
        return statuses

    def _error_response(self, status: int, direction: Any) -> dict[str, Any]:
        response: dict[str, Any] = self._get_response_for_code(  # type: ignore[no-untyped-call]  # untyped
            ErrorResponseSerializer, str(status), ["application/json"], direction
        )
        response["description"] = DESCRIPTIONS[status]
        (content,) = response["content"].values()
        content["examples"] = {code: {"value": example(status, code)} for code in EXAMPLES[status]}
        return response

    def _headers_of(self, status: int) -> dict[str, Any]:
        headers = {"X-Request-ID": TEXT_HEADER}
        if self._is_in("etag_actions") and status in (200, 201):
            headers["ETag"] = TEXT_HEADER
        if self._is_in("keyed_actions"):
            headers[REPLAYED_HEADER] = TEXT_HEADER
        return headers

    def _is_in(self, attribute: str) -> bool:
        action = getattr(self.view, "action", None) or self.method.lower()
        return action in getattr(self.view, attribute, ())
