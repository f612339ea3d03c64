"""History to read, and the verbs of operators: one call of the engine each."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from remediation.api import filtersets, serializers, verbs
from remediation.api.calls import cause_of
from remediation.api.views import READS, RowViewSet
from remediation.engine import cancel
from remediation.engine.operations import explanation, retry, set_outcome
from remediation.models import (
    ActionExecution,
    Alert,
    BucketRun,
    IllegalTransitionError,
    Scope,
    Transition,
)


class HistoryViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, RowViewSet):
    """History is read."""


class AlertViewSet(HistoryViewSet):
    """The episodes of alerts."""

    queryset = Alert.objects.all()
    serializer_class = serializers.AlertSerializer
    filterset_class = filtersets.AlertFilter
    ordering_fields = ["id", "created_at", "starts_at", "last_seen_at"]
    scopes = READS | {"explanation": Scope.READ, "retry": Scope.OPERATE}

    @extend_schema(responses=serializers.ExplanationSerializer)
    @action(detail=True)
    def explanation(self, _request: Request, **_lookup: str) -> Response:
        """Say of every bucket why it would take the alert now, or why not."""
        alert = self.get_object()
        decision = {"reason": alert.reason, "buckets": explanation.explain(alert)}
        return Response(serializers.ExplanationSerializer(decision).data)

    @extend_schema(
        request=None, filters=False, responses={201: serializers.RunSerializer(many=True)}
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def retry(self, request: Request, **_lookup: str) -> Response:
        """Run the buckets that take the alert now, all or none; answer the new runs."""
        alert = self.get_object()
        verbs.read(serializers.Body, request)
        runs = retry.match_again(alert, cause=cause_of(request))
        shown = serializers.RunSerializer(runs, many=True)
        return Response(shown.data, status=status.HTTP_201_CREATED)


class RunViewSet(HistoryViewSet):
    """Buckets carried out for alerts."""

    queryset = BucketRun.objects.select_related("alert", "bucket", "plan").prefetch_related(
        serializers.STEPS_OF_RUN
    )
    serializer_class = serializers.RunSerializer
    filterset_class = filtersets.RunFilter
    ordering_fields = ["id", "created_at"]
    scopes = READS | {"cancel": Scope.OPERATE, "retry": Scope.OPERATE}

    @extend_schema(request=verbs.CancelBody, responses=verbs.CanceledSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **_lookup: str) -> Response:
        """Start nothing more of an open run, and cancel in StackStorm what is under way.

        ``canceled`` in StackStorm does not mean that the command stopped. Of a run that is
        canceled already, this is the answer again.
        """
        run, body = self.get_object(), verbs.read(verbs.CancelBody, request)
        try:
            cancel.cancel(
                run,
                stop=BucketRun.Stop(body["stop"]),
                reason=body["reason"],
                cause=cause_of(request),
            )
        except IllegalTransitionError:
            run.refresh_from_db()
            if run.status != BucketRun.Status.CANCELED:
                raise
        return Response(verbs.CanceledSerializer({"run": run, "executions": _steps_of(run)}).data)

    @extend_schema(request=verbs.RetryBody, responses={201: serializers.RunSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, **_lookup: str) -> Response:
        """Repeat a run that has ended, from its failed step or the start; answer the new run."""
        run, body = self.get_object(), verbs.read(verbs.RetryBody, request)
        again = verbs.RETRIES[body["from"]](run, cause=cause_of(request))
        return Response(serializers.RunSerializer(again).data, status=status.HTTP_201_CREATED)


def _steps_of(run: BucketRun) -> Any:
    rows = run.executions.filter(parent=None).select_related("bucket", "action")
    return rows.order_by("step_order", "attempt")


class ExecutionViewSet(HistoryViewSet):
    """The executions of actions, in StackStorm and here."""

    queryset = ActionExecution.objects.select_related("bucket", "action", "run").prefetch_related(
        "reruns"
    )
    serializer_class = serializers.ExecutionSerializer
    filterset_class = filtersets.ExecutionFilter
    ordering_fields = ["id", "created_at", "step_order"]
    scopes = READS | {"set_outcome": Scope.OPERATE}

    @extend_schema(request=verbs.SetOutcomeBody, responses=verbs.OutcomeSetSerializer)
    @action(detail=True, methods=["post"], url_path="set-outcome")
    def set_outcome(self, request: Request, **_lookup: str) -> Response:
        """Set the final status of an unknown execution; its run then continues."""
        execution, body = self.get_object(), verbs.read(verbs.SetOutcomeBody, request)
        set_outcome.set_outcome(
            execution,
            ActionExecution.Status(body["status"]),
            reason=body["reason"],
            cause=cause_of(request),
        )
        rows = {"execution": execution, "run": BucketRun.objects.get(pk=execution.run_id)}
        return Response(verbs.OutcomeSetSerializer(rows).data)


class TransitionViewSet(HistoryViewSet):
    """Every change of state."""

    queryset = Transition.objects.all()
    serializer_class = serializers.TransitionSerializer
    filterset_class = filtersets.TransitionFilter
