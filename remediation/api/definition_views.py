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
from remediation.api.idempotency import respond_once
from remediation.api.preconditions import check_if_match
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
from remediation.engine.operations.definition_etags import etag
from remediation.models import Action, Bucket, BucketStep, Cause, Scope

EDITS = dict.fromkeys(["create", "update", "partial_update", "destroy"], Scope.EDIT)


class DefinitionViewSet(RowViewSet, viewsets.ModelViewSet[Any]):
    """Base view set of definitions. Each write is one engine call."""

    scopes = READS | EDITS
    if_match_actions = frozenset({"update", "partial_update", "destroy"})
    etag_actions = frozenset({"create", "retrieve", "update", "partial_update"})
    ordering_fields = ["id", "name"]

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Save a new row."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self._save(serializer, self.get_queryset().model(), status.HTTP_201_CREATED)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the row with its entity tag."""
        row = self.get_object()
        return self._respond(row, status.HTTP_200_OK)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Save the changed row, unless If-Match refuses."""
        with definitions.locked(self.get_object()):
            row = self.get_object()
            check_if_match(request, etag(row))
            is_partial = kwargs.get("partial", False)
            serializer = self.get_serializer(row, data=request.data, partial=is_partial)
            serializer.is_valid(raise_exception=True)
            return self._save(serializer, row, status.HTTP_200_OK)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete the row, unless If-Match refuses."""
        with definitions.locked(self.get_object()):
            row = self.get_object()
            check_if_match(request, etag(row))
            self.perform_destroy(row)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def save(self, row: Any, values: dict[str, Any]) -> None:
        """Set the values on the row and save it through the engine."""
        raise NotImplementedError

    def _save(self, serializer: BaseSerializer[Any], row: Any, status_code: int) -> Response:
        self.save(row, dict(serializer.validated_data))
        # Reload, so that the response shows the values in the database.
        return self._respond(self.get_queryset().get(pk=row.pk), status_code)

    def _respond(self, row: Any, status_code: int) -> Response:
        data = self.get_serializer(row).data
        return Response(data, status=status_code, headers={"ETag": etag(row)})


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
    keyed_actions = frozenset({"run"})
    required_body_actions = frozenset({"simulate"})  # an alert or labels
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
        cause = Cause.of_request(request)

        def operate() -> Any:
            return RunSerializer(retry.run_manually(bucket, body["alert"], cause=cause)).data

        return respond_once(request, operate, status=status.HTTP_201_CREATED)

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
