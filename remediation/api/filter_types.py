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
from rest_framework.settings import api_settings

from remediation.models.text_lookups import SEARCH_LENGTH_MAX

YEARS = range(1970, 9999)
VALUES_MAX = 50  # of one parameter
UNKNOWN_MAX = 20  # unknown parameters that an error names
NAME_LENGTH = 100  # characters of the name of an unknown parameter in an error


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
        paginator = view.paginator
        errors = _unknown(request, known={*filters, *getattr(paginator, "parameters", ())})
        errors |= _ambiguous(request, filters, lengths=getattr(paginator, "lengths", {}))
        if filterset is not None and not filterset.is_valid():
            for name, texts in filterset.errors.items():
                errors.setdefault(name, list(texts))
        if hasattr(paginator, "parameter_errors"):
            for name, texts in paginator.parameter_errors(request, view).items():
                errors.setdefault(name, texts)
        if errors:
            raise ValidationError(errors)
        return super().filter_queryset(request, queryset, view)


def reject_parameters(request: Request) -> None:
    """Reject every query parameter, for views that read none."""
    if errors := _unknown(request, known=set()):
        raise ValidationError(errors)


def _unknown(request: Request, *, known: set[str]) -> dict[str, list[str]]:
    """Return an error for each unknown parameter."""
    unknown = sorted(set(request.query_params) - known)
    text = f"Unknown parameter. Known parameters: {', '.join(sorted(known)) or 'none'}."
    errors = {name[:NAME_LENGTH]: [text] for name in unknown[:UNKNOWN_MAX]}
    if (more := len(unknown) - UNKNOWN_MAX) > 0:
        errors[api_settings.NON_FIELD_ERRORS_KEY] = [f"{more} more parameters are unknown."]
    return errors


def _ambiguous(
    request: Request, filters: dict[str, Any], *, lengths: dict[str, int]
) -> dict[str, list[str]]:
    """Return errors for values that are too long, or that django-filter ignores.

    These are empty ones, and all but the last duplicate. ``lengths``: other limits, by parameter.
    """
    problems: dict[str, list[str]] = {}
    for name, values in request.query_params.lists():
        length = lengths.get(name, SEARCH_LENGTH_MAX)
        if "" in values:
            problems[name] = ["Empty value. Set a value or remove the parameter."]
        elif any(len(value) > length for value in values):
            problems[name] = [f"The value is longer than {length} characters: shorten it."]
        elif len(values) > VALUES_MAX:
            problems[name] = [f"There are {len(values)} values, the limit is {VALUES_MAX}."]
        elif len(values) > 1 and not isinstance(
            filters.get(name), django_filters.MultipleChoiceFilter
        ):
            problems[name] = ["Duplicate parameter. Set it once."]
    return {name[:NAME_LENGTH]: texts for name, texts in problems.items()}


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
