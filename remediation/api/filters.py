"""The filters of each API list, and which of them an index serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from django.db import models
from django_filters.rest_framework import FilterSet

from remediation.api.filter_types import (
    ExactTextFilter,
    IntegerFilter,
    TrueFalseFilter,
    before,
    since,
    status,
)
from remediation.api.related_filters import (
    ActionNameFilter,
    RelatedFilter,
    by_action_name,
    by_alert_name,
    by_fingerprint,
    by_target,
)
from remediation.models import (
    Action,
    ActionExecution,
    Alert,
    Bucket,
    BucketRun,
    BucketStep,
    Transition,
)
from remediation.models.fields import ExactCharField


class StrictFilterSet(FilterSet):
    """A filter set whose filters reject values that they cannot parse.

    Filter sets of history tables also declare how these filters use indexes:

    - ``selective_filters``: each uses an index and leaves few rows. So does each RelatedFilter
      whose value has few related rows.
    - ``id_ordered_filters``: for one value, an index returns the rows in id order.
    - ``time_field``: the field of the index by time.
    - ``time_ordered_filters``: for one value, an index returns the rows in the order of
      ``time_field``.

    Other filters need a bounded scan; see ``ListQueryPlan``.
    """

    selective_filters: ClassVar[frozenset[str]] = frozenset()
    id_ordered_filters: ClassVar[frozenset[str]] = frozenset()
    time_field: ClassVar[str] = ""
    time_ordered_filters: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def is_selective(cls, values: Mapping[str, Sequence[str]]) -> bool:
        """Return whether these filter values use an index and leave few rows."""
        if not cls.selective_filters.isdisjoint(values):
            return True
        related = ((cls.base_filters[name], values[name]) for name in values)
        return any(
            isinstance(one, RelatedFilter) and one.few_ids(texts[-1]) is not None
            for one, texts in related
        )

    FILTER_DEFAULTS = {
        **FilterSet.FILTER_DEFAULTS,
        ExactCharField: {"filter_class": ExactTextFilter},
        models.BooleanField: {"filter_class": TrueFalseFilter},
        models.PositiveIntegerField: {"filter_class": IntegerFilter},
        models.BigIntegerField: {"filter_class": IntegerFilter},
        models.ForeignKey: {"filter_class": IntegerFilter},
    }


class ActionFilter(StrictFilterSet):
    """Filters for actions."""

    class Meta:
        model = Action
        fields = [
            "name",
            "action_type",
            "use_stackstorm",
            "st2_action_ref",
            "st2_pack",
            "st2_check",
            "is_enabled",
        ]


class BucketFilter(StrictFilterSet):
    """Filters for buckets."""

    class Meta:
        model = Bucket
        fields = ["name", "is_enabled", "use_stackstorm", "trigger_on"]


class StepFilter(StrictFilterSet):
    """Filters for steps."""

    action_name = ExactTextFilter(field_name="action__name", label="name of the action")

    class Meta:
        model = BucketStep
        fields = ["bucket", "action"]


class AlertFilter(StrictFilterSet):
    """Filters for alerts."""

    selective_filters = frozenset({"request_id"})
    id_ordered_filters = frozenset({"status", "fingerprint", "alert_name", "instance"})
    time_field = "created_at"
    status = status(Alert.Status.choices)
    target = by_target(column="pk")
    action_name = by_action_name(column="pk", key="alert")
    created_since = since()
    created_before = before()

    class Meta:
        model = Alert
        fields = ["request_id", "fingerprint", "alert_name", "severity", "instance", "receiver"]


class RunFilter(StrictFilterSet):
    """Filters for runs."""

    selective_filters = frozenset({"request_id", "alert"})
    id_ordered_filters = frozenset({"status", "bucket"})
    time_field = "created_at"
    status = status(BucketRun.Status.choices)
    fingerprint = by_fingerprint(column="alert")
    alert_name = by_alert_name(column="alert")
    target = by_target(column="alert")
    action_name = by_action_name(column="pk", key="run")
    created_since = since()
    created_before = before()

    class Meta:
        model = BucketRun
        fields = ["request_id", "alert", "bucket", "trigger", "actor", "actor_kind", "number"]


class ExecutionFilter(StrictFilterSet):
    """Filters for executions."""

    selective_filters = frozenset(
        {"request_id", "run", "alert", "parent", "st2_execution_id", "trace_tag"}
    )
    id_ordered_filters = frozenset({"bucket", "action", "action_name"})
    time_field = "created_at"
    time_ordered_filters = frozenset({"status"})
    status = status(ActionExecution.Status.choices)
    alert_name = by_alert_name(column="alert")
    target = by_target(column="alert")
    action_name = ActionNameFilter(label="name of the action")
    created_since = since()
    created_before = before()
    completed_since = since("completed_at")
    completed_before = before("completed_at")

    class Meta:
        model = ActionExecution
        fields = [
            "request_id",
            "run",
            "alert",
            "bucket",
            "action",
            "parent",
            "step_order",
            "attempt",
            "executed_via_stackstorm",
            "st2_execution_id",
            "st2_action_execution_status",
            "trace_tag",
        ]


class TransitionFilter(StrictFilterSet):
    """Filters for transitions."""

    selective_filters = frozenset({"request_id", "cause_request_id", "run_id", "subject_id"})
    time_field = "at"
    at_since = since("at")
    at_before = before("at")

    class Meta:
        model = Transition
        fields = [
            "request_id",
            "cause_request_id",
            "subject_type",
            "subject_id",
            "run_id",
            "to_status",
            "actor",
            "actor_kind",
        ]
