"""Definitions to read and to change, and the words for what does not exist."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from remediation.api import filtersets, serializers, verbs
from remediation.api.calls import AlwaysJson, cause_of
from remediation.api.parsers import ObjectParser
from remediation.engine.operations import definitions, retry, simulation
from remediation.models import Action, Alert, Bucket, BucketStep, Scope

READS = {"list": Scope.READ, "retrieve": Scope.READ}
EDITS = dict.fromkeys(["create", "update", "partial_update", "destroy"], Scope.EDIT)
ID_PATTERN = "[0-9]{1,18}"


class RowViewSet(viewsets.GenericViewSet[Any]):
    """Rows of one table, which are asked for by their id."""

    content_negotiation_class = AlwaysJson
    parser_classes = [ObjectParser]
    lookup_value_regex = ID_PATTERN
    scopes = READS

    def get_object(self) -> Any:
        """Return the row. Raises NotFound in words for people."""
        try:
            return super().get_object()
        except Http404:
            name = self.get_queryset().model._meta.verbose_name
            raise NotFound(f"There is no {name} {self.kwargs['pk']}.") from None


class DefinitionViewSet(RowViewSet, viewsets.ModelViewSet[Any]):
    """Definitions are read, and saved by one call of the engine each."""

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
    filterset_class = filtersets.ActionFilter

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
    filterset_class = filtersets.BucketFilter
    ordering_fields = ["id", "name", "priority"]
    scopes = DefinitionViewSet.scopes | {"run": Scope.OPERATE, "simulate": Scope.READ}

    def save(self, row: Bucket, values: dict[str, Any]) -> None:
        """Save the bucket and, if they were sent, its steps."""
        sent = values.pop("steps", None)
        steps = None if sent is None else [BucketStep(**step) for step in sent]
        _assign(row, values)
        definitions.save_bucket(row, steps, cause=cause_of(self.request))

    def perform_destroy(self, instance: Bucket) -> None:
        """Delete a bucket without history."""
        definitions.delete_bucket(instance)

    @extend_schema(request=verbs.RunBody, responses={201: serializers.RunSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, **_lookup: str) -> Response:
        """Carry the bucket out for an alert, whether it matches or not; answer the new run."""
        bucket, body = self.get_object(), verbs.read(verbs.RunBody, request)
        run = retry.run_by_hand(bucket, body["alert"], cause=cause_of(request))
        return Response(serializers.RunSerializer(run).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=verbs.SimulateBody, responses=verbs.SimulationSerializer)
    @action(detail=True, methods=["post"])
    def simulate(self, request: Request, **_lookup: str) -> Response:
        """Say whether the bucket takes an alert and what it would send; nothing is executed."""
        bucket, body = self.get_object(), verbs.read(verbs.SimulateBody, request)
        alert = body["alert"] or _imagine(body, request)
        try:
            simulated: Any = simulation.simulate(bucket, alert, steps=body["steps"])
        except simulation.UnknownStep as error:
            raise ValidationError({"steps": [str(error)]}) from error
        return Response(verbs.SimulationSerializer(simulated).data)


def _imagine(body: dict[str, Any], request: Request) -> Alert:
    try:
        return simulation.imagine(body["labels"], body["annotations"], at=cause_of(request).at)
    except simulation.NotAnAlert as error:
        raise ValidationError({"labels": [str(error)]}) from error


class StepViewSet(DefinitionViewSet):
    """The steps of all buckets."""

    queryset = BucketStep.objects.select_related("bucket", "action")
    serializer_class = serializers.StepSerializer
    filterset_class = filtersets.StepFilter
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


@extend_schema(exclude=True)
class UnknownPath(APIView):
    """Whatever else is asked of the API does not exist, in JSON and for known callers alone."""

    content_negotiation_class = AlwaysJson
    scopes: dict[str, Scope] = {}

    def http_method_not_allowed(self, request: Any, *_arguments: Any, **_lookup: Any) -> Response:
        """Raise NotFound."""
        raise NotFound(f"There is no {request.path} here: /api/v1/schema/ lists what there is.")
