"""What lists can be asked for; a parameter that nobody knows is an error, not everything."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import django_filters
from django import forms
from django.db import models
from django.http import QueryDict
from django_filters.fields import IsoDateTimeField
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

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

YEARS = range(1970, 9999)
EPISODES_FEW = 1_000  # of a fingerprint; an index tells whether there are more


class StrictFilterBackend(DjangoFilterBackend):
    """Filter a list by the view's filter set and refuse every other query parameter."""

    def filter_queryset(
        self, request: Any, queryset: models.QuerySet[Any], view: Any
    ) -> models.QuerySet[Any]:
        """Return the rows asked for. Raises ValidationError naming the parameter."""
        if getattr(view, "detail", False):
            refuse_parameters(request)
            return queryset
        filterset = self.get_filterset(request, queryset, view)
        filters = filterset.filters if filterset is not None else {}
        paging = getattr(view.paginator, "parameters", ())
        _refuse_unknown(request, known={*filters, *paging})
        _refuse_vague(request, filters)
        return super().filter_queryset(request, queryset, view)


def refuse_parameters(request: Request) -> None:
    """Refuse every query parameter, where nothing reads one."""
    _refuse_unknown(request, known=set())


def _refuse_unknown(request: Request, *, known: set[str]) -> None:
    names = ", ".join(sorted(known)) or "none"
    if unknown := set(request.query_params) - known:
        text = f"There is no such parameter here. Known: {names}."
        raise ValidationError({name: [text] for name in sorted(unknown)})


def _refuse_vague(request: Request, filters: dict[str, Any]) -> None:
    """Refuse what would silently count for nothing: empty values and all but the last of many."""
    problems: dict[str, list[str]] = {}
    for name, values in request.query_params.lists():
        if "" in values:
            problems[name] = ["It has no value: give one, or leave the parameter out."]
        elif len(values) > 1 and not isinstance(
            filters.get(name), django_filters.MultipleChoiceFilter
        ):
            problems[name] = ["It can be given once."]
    if problems:
        raise ValidationError(problems)


class InstantField(IsoDateTimeField):
    """A time far enough from the ends of the calendar for every time zone."""

    def clean(self, value: Any) -> datetime.datetime | None:
        """Return the time. Raises ValidationError beyond the years that are stored."""
        try:
            instant: datetime.datetime | None = super().clean(value)
        except OverflowError:
            instant = datetime.datetime.max.replace(tzinfo=datetime.UTC)
        if instant is not None and instant.year not in YEARS:
            raise forms.ValidationError("Give a year from 1970 to 9998.")
        return instant


class InstantFilter(django_filters.IsoDateTimeFilter):
    """Filter by a time such as 2026-11-23T05:46:06Z."""

    field_class = InstantField


class SwitchField(forms.Field):
    """True or false; django's own field takes any other word for no answer."""

    def to_python(self, value: Any) -> bool | None:
        """Return the switch, None for no value. Raises ValidationError for other words."""
        if value in self.empty_values:
            return None
        if (word := str(value).lower()) not in {"true", "false"}:
            raise forms.ValidationError("Write true or false.")
        return word == "true"


class SwitchFilter(django_filters.Filter):
    """Filter by true or false."""

    field_class = SwitchField


class WholeNumberFilter(django_filters.Filter):
    """Filter by a whole number that a database holds, such as the id of a row."""

    field_class = forms.IntegerField

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, min_value=0, max_value=2**63 - 1, **options)


class ExactTextFilter(django_filters.CharFilter):
    """Filter by a text of which every character counts, spaces at its ends too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, strip=False, **options)


class StrictFilterSet(FilterSet):
    """A filter set whose filters refuse what they cannot read.

    Of history, whose tables grow, it says how its rows are found: ``few``, filters of which each
    leaves few rows, by an index; ``in_order``, filters by one value of an index that holds its rows
    in the order of their ids; ``timed``, the field of an index by time, and ``timed_by``, filters
    by one value of an index that goes on by it. What other filters leave is looked for, some way
    at a time.
    """

    few: ClassVar[frozenset[str]] = frozenset()
    in_order: ClassVar[frozenset[str]] = frozenset()
    timed: ClassVar[str] = ""
    timed_by: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def leaves_few(cls, asked: Mapping[str, Sequence[str]]) -> bool:
        """Return whether an index finds all that is asked for, and that is not much."""
        return not cls.few.isdisjoint(asked)

    FILTER_DEFAULTS = {
        **FilterSet.FILTER_DEFAULTS,
        ExactCharField: {"filter_class": ExactTextFilter},
        models.BooleanField: {"filter_class": SwitchFilter},
        models.PositiveIntegerField: {"filter_class": WholeNumberFilter},
        models.BigIntegerField: {"filter_class": WholeNumberFilter},
        models.ForeignKey: {"filter_class": WholeNumberFilter},
    }


@dataclass(frozen=True, slots=True)
class Way:
    """The way to the rows of history that a request asks for. ``asked``: its filters' values."""

    filterset: type[StrictFilterSet]
    asked: dict[str, list[str]]

    @property
    def few(self) -> frozenset[str]:
        """The filters that leave few rows."""
        return self.filterset.few

    @property
    def newest_first(self) -> str:
        """The ordering by default: by time where an index by time finds the rows."""
        is_by_time = self._times or (
            set(self.asked) & self.filterset.timed_by and not self._are_few
        )
        return f"-{self.filterset.timed}" if is_by_time else "-id"

    def may_order_by(self, name: str) -> bool:
        """Return whether an index, or that there are few rows, makes this ordering a quick one."""
        return name in ("id", self.filterset.timed) or self._are_few

    def walked(self, ordering: str, rows: models.QuerySet[Any]) -> models.QuerySet[Any] | None:
        """Return the rows to look through, in this order; None where an index finds those asked."""
        if self._are_few:
            return None
        by_time = ordering.lstrip("-") == self.filterset.timed
        served = self.filterset.timed_by if by_time else self.filterset.in_order
        others = set(self.asked) - (self._times if by_time else set())
        found = {name for name in others & served if len(self.asked[name]) == 1}
        if not others or (len(others) == 1 and found):
            return None
        if by_time:
            known = {name: self.asked[name] for name in self._times | found}
            data = QueryDict(mutable=True)
            for name, values in known.items():
                data.setlist(name, values)
            rows = self.filterset(data, queryset=rows).qs
        return rows

    @property
    def _are_few(self) -> bool:
        return self.filterset.leaves_few(self.asked)

    @property
    def _times(self) -> set[str]:
        """The filters that are asked for by time."""
        timed = self.filterset.timed
        filters = self.filterset.base_filters
        return {name for name in self.asked if timed and filters[name].field_name == timed}


def way_of(view: Any, parameters: Any) -> Way | None:
    """Return the way to the rows of a list of history; other lists are short."""
    filterset = getattr(view, "filterset_class", None)
    if filterset is None or not filterset.timed:
        return None
    asked = {
        name: parameters.getlist(name) for name in filterset.base_filters if name in parameters
    }
    return Way(filterset, asked)


def since(field: str = "created_at") -> InstantFilter:
    """Return the filter for times from the given one on."""
    return InstantFilter(field_name=field, lookup_expr="gte", label=f"{field} at or after")


def before(field: str = "created_at") -> InstantFilter:
    """Return the filter for times before the given one."""
    return InstantFilter(field_name=field, lookup_expr="lt", label=f"{field} before")


def status(choices: Any) -> django_filters.MultipleChoiceFilter:
    """Return a filter by status, which may be given several times."""
    return django_filters.MultipleChoiceFilter(field_name="status", choices=choices)


class ActionFilter(StrictFilterSet):
    """Which actions to list."""

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
    """Which buckets to list."""

    class Meta:
        model = Bucket
        fields = ["name", "is_enabled", "use_stackstorm", "trigger_on"]


class StepFilter(StrictFilterSet):
    """Which steps to list."""

    class Meta:
        model = BucketStep
        fields = ["bucket", "action"]


class AlertFilter(StrictFilterSet):
    """Which alerts to list."""

    few = frozenset({"request_id"})
    in_order = frozenset({"status", "fingerprint", "alert_name", "instance"})
    timed = "created_at"
    status = status(Alert.Status.choices)
    created_since = since()
    created_before = before()

    class Meta:
        model = Alert
        fields = ["request_id", "fingerprint", "alert_name", "severity", "instance", "receiver"]


class RunFilter(StrictFilterSet):
    """Which runs to list."""

    few = frozenset({"request_id", "alert"})
    in_order = frozenset({"status", "bucket"})
    timed = "created_at"
    status = status(BucketRun.Status.choices)
    fingerprint = django_filters.CharFilter(field_name="alert__fingerprint")
    created_since = since()
    created_before = before()

    class Meta:
        model = BucketRun
        fields = ["request_id", "alert", "bucket", "trigger", "actor", "number"]

    @classmethod
    def leaves_few(cls, asked: Mapping[str, Sequence[str]]) -> bool:
        """Return whether it is not much; of most fingerprints there are few episodes."""
        if super().leaves_few(asked) or "fingerprint" not in asked:
            return super().leaves_few(asked)
        episodes = Alert.objects.filter(fingerprint=asked["fingerprint"][0])
        return not episodes.order_by("pk")[EPISODES_FEW:].exists()


class ExecutionFilter(StrictFilterSet):
    """Which executions to list."""

    few = frozenset({"request_id", "run", "alert", "parent", "st2_execution_id", "trace_tag"})
    in_order = frozenset({"bucket", "action"})
    timed = "created_at"
    timed_by = frozenset({"status"})
    status = status(ActionExecution.Status.choices)
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
    """Which changes of state to list."""

    few = frozenset({"request_id", "cause_request_id", "run_id", "subject_id"})
    timed = "at"
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
        ]
