"""Views of actions, buckets and steps."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from drf_spectacular.utils import extend_schema
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from remediation.api import filters
from remediation.api.base_views import READS, RowViewSet
from remediation.api.serializers.definitions import (
    ActionSerializer,
    BucketSerializer,
    StepSerializer,
)
from remediation.api.serializers.history import RunSerializer
from remediation.api.serializers.operations import RunBody
from remediation.api.serializers.simulation import SimulateBody, SimulationSerializer
from remediation.api.serializers.strict import read_body
from remediation.engine.operations import definitions, retry, simulation
from remediation.models import Action, Bucket, BucketStep, Cause, Scope

EDITS = dict.fromkeys(["create", "update", "partial_update", "destroy"], Scope.EDIT)


class DefinitionViewSet(RowViewSet, viewsets.ModelViewSet[Any]):
    """Base view set of definitions. Each write is one engine call."""

    scopes = READS | EDITS
    ordering_fields = ["id", "name"]

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        """Save a new row."""
        self._write(serializer, self.get_queryset().model())

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        """Save the changed row."""
        self._write(serializer, serializer.instance)

    def save(self, row: Any, values: dict[str, Any]) -> None:
        """Set the values on the row and save it through the engine."""
        raise NotImplementedError

    def _write(self, serializer: BaseSerializer[Any], row: Any) -> None:
        self.save(row, dict(serializer.validated_data))
        # Reload, so that the response shows the values in the database.
        serializer.instance = self.get_queryset().get(pk=row.pk)


def _set_values(row: Model, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)


class ActionViewSet(DefinitionViewSet):
    """Actions: StackStorm actions and local actions that steps can use."""

    queryset = Action.objects.all()
    serializer_class = ActionSerializer
    filterset_class = filters.ActionFilter

    def save(self, row: Action, values: dict[str, Any]) -> None:
        """Save the action and new versions of the buckets that use it."""
        _set_values(row, values)
        definitions.save_action(row, cause=Cause.of_request(self.request))

    def perform_destroy(self, instance: Action) -> None:
        """Delete an action without history."""
        definitions.delete_action(instance)


class BucketViewSet(DefinitionViewSet):
    """Buckets: which alerts they match, and the steps to run."""

    queryset = Bucket.objects.prefetch_related("steps__action")
    serializer_class = BucketSerializer
    filterset_class = filters.BucketFilter
    ordering_fields = ["id", "name", "priority"]
    scopes = DefinitionViewSet.scopes | {"run": Scope.OPERATE, "simulate": Scope.READ}

    def save(self, row: Bucket, values: dict[str, Any]) -> None:
        """Save the bucket and, if the request has them, its steps."""
        sent = values.pop("steps", None)
        steps = None if sent is None else [BucketStep(**step) for step in sent]
        _set_values(row, values)
        definitions.save_bucket(row, steps, cause=Cause.of_request(self.request))

    def perform_destroy(self, instance: Bucket) -> None:
        """Delete a bucket without history."""
        definitions.delete_bucket(instance)

    @extend_schema(request=RunBody, responses={201: RunSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, **_lookup: str) -> Response:
        """Run the bucket for an alert, even if it does not match, and return the new run."""
        bucket, body = self.get_object(), read_body(RunBody, request)
        run = retry.run_manually(bucket, body["alert"], cause=Cause.of_request(request))
        return Response(RunSerializer(run).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=SimulateBody, responses=SimulationSerializer)
    @action(detail=True, methods=["post"])
    def simulate(self, request: Request, **_lookup: str) -> Response:
        """Return whether the bucket matches an alert and what it would send. Runs nothing."""
        bucket = self.get_object()
        body = read_body(SimulateBody, request, bucket=bucket, at=Cause.of_request(request).at)
        simulated: Any = simulation.simulate(bucket, body["alert"], steps=body["steps"])
        return Response(SimulationSerializer(simulated).data)


class StepViewSet(DefinitionViewSet):
    """Steps of all buckets."""

    queryset = BucketStep.objects.select_related("bucket", "action")
    serializer_class = StepSerializer
    filterset_class = filters.StepFilter
    ordering_fields = ["id", "step_order"]

    def save(self, row: BucketStep, values: dict[str, Any]) -> None:
        """Save the step. Without ``step_order``, a new or replaced step becomes the last one."""
        if row.pk is None:
            values.setdefault("step_order", values["bucket"].steps.count() + 1)
        elif self.request.method == "PUT":
            values.setdefault("step_order", row.bucket.steps.count())
        _set_values(row, values)
        definitions.save_step(row, cause=Cause.of_request(self.request))

    def perform_destroy(self, instance: BucketStep) -> None:
        """Remove the step from its bucket."""
        definitions.delete_step(instance, cause=Cause.of_request(self.request))
