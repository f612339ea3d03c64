"""Filter types of query parameters. Unknown, empty and duplicate ones are rejected, not ignored."""

from __future__ import annotations

import datetime
from typing import Any

import django_filters
from django import forms
from django.db import models
from django_filters.fields import IsoDateTimeField
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

YEARS = range(1970, 9999)


class StrictFilterBackend(DjangoFilterBackend):
    """Filter a list by the view's filter set and reject all other query parameters."""

    def filter_queryset(
        self, request: Any, queryset: models.QuerySet[Any], view: Any
    ) -> models.QuerySet[Any]:
        """Return the filtered queryset. Raises ValidationError with the parameter's name."""
        if getattr(view, "detail", False):
            reject_parameters(request)
            return queryset
        filterset = self.get_filterset(request, queryset, view)
        filters = filterset.filters if filterset is not None else {}
        paging = getattr(view.paginator, "parameters", ())
        _reject_unknown(request, known={*filters, *paging})
        _reject_ambiguous(request, filters)
        return super().filter_queryset(request, queryset, view)


def reject_parameters(request: Request) -> None:
    """Reject every query parameter, for views that read none."""
    _reject_unknown(request, known=set())


def _reject_unknown(request: Request, *, known: set[str]) -> None:
    names = ", ".join(sorted(known)) or "none"
    if unknown := set(request.query_params) - known:
        text = f"Unknown parameter. Known parameters: {names}."
        raise ValidationError({name: [text] for name in sorted(unknown)})


def _reject_ambiguous(request: Request, filters: dict[str, Any]) -> None:
    """Reject values that django-filter ignores: empty ones, and all but the last duplicate."""
    problems: dict[str, list[str]] = {}
    for name, values in request.query_params.lists():
        if "" in values:
            problems[name] = ["Empty value. Set a value or remove the parameter."]
        elif len(values) > 1 and not isinstance(
            filters.get(name), django_filters.MultipleChoiceFilter
        ):
            problems[name] = ["Duplicate parameter. Set it once."]
    if problems:
        raise ValidationError(problems)


class TimeField(IsoDateTimeField):
    """A time in a year that every time zone and database can represent."""

    def clean(self, value: Any) -> datetime.datetime | None:
        """Return the time. Raises ValidationError if the year is out of range."""
        try:
            time: datetime.datetime | None = super().clean(value)
        except OverflowError:
            time = datetime.datetime.max.replace(tzinfo=datetime.UTC)
        if time is not None and time.year not in YEARS:
            raise forms.ValidationError("The year must be from 1970 to 9998.")
        return time


class TimeFilter(django_filters.IsoDateTimeFilter):
    """Filter by a time such as 2026-11-23T05:46:06Z."""

    field_class = TimeField


class TrueFalseField(forms.Field):
    """A boolean. Django's NullBooleanField reads unknown text as "no value" instead."""

    def to_python(self, value: Any) -> bool | None:
        """Return the boolean, or None for no value. Raises ValidationError for other text."""
        if value in self.empty_values:
            return None
        if (text := str(value).lower()) not in {"true", "false"}:
            raise forms.ValidationError("The value must be true or false.")
        return text == "true"


class TrueFalseFilter(django_filters.Filter):
    """Filter by true or false."""

    field_class = TrueFalseField


class IntegerFilter(django_filters.Filter):
    """Filter by an unsigned integer that fits in a database column, such as a row id."""

    field_class = forms.IntegerField

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, min_value=0, max_value=2**63 - 1, **options)


class ExactTextFilter(django_filters.CharFilter):
    """Filter by text, including leading and trailing spaces."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, strip=False, **options)


def since(field: str = "created_at") -> TimeFilter:
    """Return a filter for times at or after the given one."""
    return TimeFilter(field_name=field, lookup_expr="gte", label=f"{field} at or after")


def before(field: str = "created_at") -> TimeFilter:
    """Return a filter for times before the given one."""
    return TimeFilter(field_name=field, lookup_expr="lt", label=f"{field} before")


def status(choices: Any) -> django_filters.MultipleChoiceFilter:
    """Return a filter by one or more statuses."""
    return django_filters.MultipleChoiceFilter(field_name="status", choices=choices)
