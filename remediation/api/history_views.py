"""Views of alerts, runs, executions and transitions, with the operations on them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from remediation.api import filters
from remediation.api.base_views import READS, RowViewSet
from remediation.api.idempotency import respond_once
from remediation.api.serializers.history import (
    RUN_STEPS,
    AlertSerializer,
    ExecutionSerializer,
    RunSerializer,
    TransitionSerializer,
)
from remediation.api.serializers.operations import (
    RETRY_FUNCTIONS,
    CancelBody,
    CancelResultSerializer,
    RetryBody,
    SetOutcomeBody,
    SetOutcomeResultSerializer,
)
from remediation.api.serializers.simulation import ExplanationSerializer
from remediation.api.serializers.strict import StrictBody, read_body
from remediation.engine import cancel
from remediation.engine.operations import explanation, retry, set_outcome
from remediation.models import (
    ActionExecution,
    Alert,
    BucketRun,
    Cause,
    IllegalTransitionError,
    Scope,
    Transition,
)


class HistoryViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, RowViewSet):
    """Base view set of read-only history."""


class AlertViewSet(HistoryViewSet):
    """Alerts: episodes from the first firing to the resolve."""

    queryset = Alert.objects.all()
    serializer_class = AlertSerializer
    filterset_class = filters.AlertFilter
    ordering_fields = ["id", "created_at", "starts_at", "last_seen_at"]
    keyed_actions = frozenset({"retry"})
    scopes = READS | {"explanation": Scope.READ, "retry": Scope.OPERATE}

    @extend_schema(responses=ExplanationSerializer)
    @action(detail=True)
    def explanation(self, _request: Request, **_lookup: str) -> Response:
        """Explain for each bucket why it would match the alert now, or why not."""
        alert = self.get_object()
        decision = {"reason": alert.reason, "buckets": explanation.explain(alert)}
        return Response(ExplanationSerializer(decision).data)

    @extend_schema(request=None, filters=False, responses={201: RunSerializer(many=True)})
    @action(detail=True, methods=["post"], pagination_class=None)
    def retry(self, request: Request, **_lookup: str) -> Response:
        """Match the alert again, run all matching buckets or none, and return the new runs."""
        alert = self.get_object()
        read_body(StrictBody, request)
        cause = Cause.of_request(request)

        def operate() -> Any:
            return RunSerializer(retry.match_again(alert, cause=cause), many=True).data

        return respond_once(request, operate, status=status.HTTP_201_CREATED)


class RunViewSet(HistoryViewSet):
    """Runs of buckets for alerts."""

    queryset = BucketRun.objects.select_related("alert", "bucket", "plan").prefetch_related(
        RUN_STEPS
    )
    serializer_class = RunSerializer
    filterset_class = filters.RunFilter
    ordering_fields = ["id", "created_at"]
    keyed_actions = frozenset({"cancel", "retry"})
    scopes = READS | {"cancel": Scope.OPERATE, "retry": Scope.OPERATE}

    @extend_schema(request=CancelBody, responses=CancelResultSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **_lookup: str) -> Response:
        """Stop an open run: start no more steps, and cancel its executions in StackStorm.

        StackStorm does not stop a command that has started. Canceling a canceled run returns the
        same response.
        """
        run, body = self.get_object(), read_body(CancelBody, request)
        stop, cause = BucketRun.Stop(body["stop"]), Cause.of_request(request)

        def operate() -> Any:
            try:
                cancel.cancel(run, stop=stop, reason=body["reason"], cause=cause)
            except IllegalTransitionError:
                run.refresh_from_db()
                if run.status != BucketRun.Status.CANCELED:
                    raise
            result = {"run": run, "executions": _steps_of_run(run)}
            return CancelResultSerializer(result).data

        return respond_once(request, operate)

    @extend_schema(request=RetryBody, responses={201: RunSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, **_lookup: str) -> Response:
        """Retry a run that has ended, from its failed step or the start, and return the new run."""
        run, body = self.get_object(), read_body(RetryBody, request)
        cause = Cause.of_request(request)

        def operate() -> Any:
            return RunSerializer(RETRY_FUNCTIONS[body["from"]](run, cause=cause)).data

        return respond_once(request, operate, status=status.HTTP_201_CREATED)


def _steps_of_run(run: BucketRun) -> Any:
    rows = run.executions.filter(parent=None).select_related("bucket", "action")
    return rows.order_by("step_order", "attempt")


class ExecutionViewSet(HistoryViewSet):
    """Executions of actions, in StackStorm or local."""

    queryset = ActionExecution.objects.select_related("bucket", "action", "run").prefetch_related(
        "reruns"
    )
    serializer_class = ExecutionSerializer
    filterset_class = filters.ExecutionFilter
    ordering_fields = ["id", "created_at", "step_order"]
    keyed_actions = frozenset({"set_outcome"})
    scopes = READS | {"set_outcome": Scope.OPERATE}

    @extend_schema(request=SetOutcomeBody, responses=SetOutcomeResultSerializer)
    @action(detail=True, methods=["post"], url_path="set-outcome")
    def set_outcome(self, request: Request, **_lookup: str) -> Response:
        """Set the final status of an unknown execution; its run then continues."""
        execution, body = self.get_object(), read_body(SetOutcomeBody, request)
        new_status, cause = ActionExecution.Status(body["status"]), Cause.of_request(request)

        def operate() -> Any:
            set_outcome.set_outcome(execution, new_status, reason=body["reason"], cause=cause)
            run = BucketRun.objects.get(pk=execution.run_id)
            return SetOutcomeResultSerializer({"execution": execution, "run": run}).data

        return respond_once(request, operate)


class TransitionViewSet(HistoryViewSet):
    """Transitions: the recorded status changes of alerts, runs and executions."""

    queryset = Transition.objects.all()
    serializer_class = TransitionSerializer
    filterset_class = filters.TransitionFilter
