"""Definitions to read and to change, history to read."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from remediation.api import filters, serializers
from remediation.api.calls import AlwaysJson, cause_of
from remediation.api.parsers import ObjectParser
from remediation.engine import definitions, explanation
from remediation.models import (
    Action,
    ActionExecution,
    Alert,
    Bucket,
    BucketRun,
    BucketStep,
    Scope,
    Transition,
)

READS = {"list": Scope.READ, "retrieve": Scope.READ}
EDITS = dict.fromkeys(["create", "update", "partial_update", "destroy"], Scope.EDIT)
ID_PATTERN = "[0-9]{1,18}"


class HistoryViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]
):
    """History is read."""

    content_negotiation_class = AlwaysJson
    lookup_value_regex = ID_PATTERN
    scopes = READS


class DefinitionViewSet(viewsets.ModelViewSet[Any]):
    """Definitions are read, and saved by one call of the engine each."""

    content_negotiation_class = AlwaysJson
    parser_classes = [ObjectParser]
    lookup_value_regex = ID_PATTERN
    scopes = READS | EDITS
    ordering_fields = ["id", "name"]

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        """Save a new row."""
        self._write(serializer, self.get_queryset().model())

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        """Save the changed row."""
        self._write(serializer, serializer.instance)

    def save(self, row: Any, values: dict[str, Any]) -> None:
        """Give the row its values and have the engine save it."""
        raise NotImplementedError

    def _write(self, serializer: BaseSerializer[Any], row: Any) -> None:
        self.save(row, dict(serializer.validated_data))
        # Read anew: what is answered is what the database holds.
        serializer.instance = self.get_queryset().get(pk=row.pk)


def _assign(row: Model, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)


class ActionViewSet(DefinitionViewSet):
    """What steps can do."""

    queryset = Action.objects.all()
    serializer_class = serializers.ActionSerializer
    filterset_class = filters.ActionFilter

    def save(self, row: Action, values: dict[str, Any]) -> None:
        """Save the action and the versions of the buckets that use it."""
        _assign(row, values)
        definitions.save_action(row, cause=cause_of(self.request))

    def perform_destroy(self, instance: Action) -> None:
        """Delete an action without history."""
        definitions.delete_action(instance)


class BucketViewSet(DefinitionViewSet):
    """Which alerts are remediated, and how."""

    queryset = Bucket.objects.prefetch_related("steps__action")
    serializer_class = serializers.BucketSerializer
    filterset_class = filters.BucketFilter
    ordering_fields = ["id", "name", "priority"]

    def save(self, row: Bucket, values: dict[str, Any]) -> None:
        """Save the bucket and, if they were sent, its steps."""
        sent = values.pop("steps", None)
        steps = None if sent is None else [BucketStep(**step) for step in sent]
        _assign(row, values)
        definitions.save_bucket(row, steps, cause=cause_of(self.request))

    def perform_destroy(self, instance: Bucket) -> None:
        """Delete a bucket without history."""
        definitions.delete_bucket(instance)


class StepViewSet(DefinitionViewSet):
    """The steps of all buckets."""

    queryset = BucketStep.objects.select_related("bucket", "action")
    serializer_class = serializers.StepSerializer
    filterset_class = filters.StepFilter
    ordering_fields = ["id", "step_order"]

    def save(self, row: BucketStep, values: dict[str, Any]) -> None:
        """Save the step at its place, a new one at the end."""
        if row.pk is None:
            values.setdefault("step_order", values["bucket"].steps.count() + 1)
        _assign(row, values)
        definitions.save_step(row, cause=cause_of(self.request))

    def perform_destroy(self, instance: BucketStep) -> None:
        """Take the step out of its bucket."""
        definitions.delete_step(instance, cause=cause_of(self.request))


class AlertViewSet(HistoryViewSet):
    """The episodes of alerts."""

    queryset = Alert.objects.all()
    serializer_class = serializers.AlertSerializer
    filterset_class = filters.AlertFilter
    ordering_fields = ["id", "created_at", "starts_at", "last_seen_at"]
    scopes = READS | {"explanation": Scope.READ}

    @extend_schema(responses=serializers.ExplanationSerializer)
    @action(detail=True)
    def explanation(self, _request: Request, **_lookup: str) -> Response:
        """Say of every bucket why it would take the alert now, or why not."""
        alert = self.get_object()
        decision = {"reason": alert.reason, "buckets": explanation.explain(alert)}
        return Response(serializers.ExplanationSerializer(decision).data)


class RunViewSet(HistoryViewSet):
    """Buckets carried out for alerts."""

    queryset = BucketRun.objects.select_related("alert", "bucket", "plan")
    serializer_class = serializers.RunSerializer
    filterset_class = filters.RunFilter
    ordering_fields = ["id", "created_at"]


class ExecutionViewSet(HistoryViewSet):
    """The executions of actions, in StackStorm and here."""

    queryset = ActionExecution.objects.select_related("bucket", "action")
    serializer_class = serializers.ExecutionSerializer
    filterset_class = filters.ExecutionFilter
    ordering_fields = ["id", "created_at", "step_order"]


class TransitionViewSet(HistoryViewSet):
    """Every change of state."""

    queryset = Transition.objects.all()
    serializer_class = serializers.TransitionSerializer
    filterset_class = filters.TransitionFilter


@extend_schema(exclude=True)
class UnknownPath(APIView):
    """Whatever else is asked of the API does not exist, in JSON and for known callers alone."""

    content_negotiation_class = AlwaysJson
    scopes: dict[str, Scope] = {}

    def http_method_not_allowed(self, request: Any, *_arguments: Any, **_lookup: Any) -> Response:
        """Raise NotFound."""
        raise NotFound(f"There is no {request.path} here: /api/v1/schema/ lists what there is.")
