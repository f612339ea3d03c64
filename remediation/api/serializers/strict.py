"""Base serializers of request bodies: strict JSON types, and all mistakes in one error."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import SkipField, get_error_detail
from rest_framework.request import Request
from rest_framework.settings import api_settings

from remediation.api.parsers import JsonObject

UNKNOWN_MAX = 20  # unknown fields that an error names
NAME_LENGTH = 100  # characters of the name of an unknown field in an error

Errors = dict[str, Any]  # by field; of a nested serializer by its fields or by index


class TextField(serializers.CharField):
    """A JSON string. REST framework's field also converts numbers."""

    def to_internal_value(self, data: Any) -> str:
        """Return the text. Raises ValidationError for another type."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class IntegerField(serializers.IntegerField):
    """A JSON number without a fraction. REST framework's field also converts text."""

    def to_internal_value(self, data: Any) -> int:
        """Return the integer. Raises ValidationError for another type."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class BooleanField(serializers.BooleanField):
    """A JSON boolean. REST framework's field also converts text and numbers."""

    def to_internal_value(self, data: Any) -> bool:
        """Return the boolean. Raises ValidationError for another type."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class ChoiceField(serializers.ChoiceField):
    """One of several texts. REST framework's field also converts numbers."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the text. Raises ValidationError for another type or value."""
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


@extend_schema_field({"type": "object", "additionalProperties": {}})
class ObjectField(serializers.JSONField):
    """A JSON object; the model checks its type."""


class RowIdField(serializers.PrimaryKeyRelatedField[Any]):
    """The id of a row as a JSON integer. REST framework's field also converts text and floats."""

    default_error_messages = {
        "does_not_exist": "There is no {name} {id}.",
        "incorrect_type": "Send the id as a number.",
    }

    def to_internal_value(self, data: Any) -> Any:
        """Return the row. Raises ValidationError for another type or a missing row."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("incorrect_type")
        rows = cast("models.QuerySet[Any]", self.get_queryset())
        row = rows.filter(pk=data).first() if 0 <= data < 2**63 else None
        if row is None:
            self.fail("does_not_exist", name=rows.model._meta.verbose_name, id=data)
        return row


class StrictBody(serializers.Serializer[Any]):
    """A request body without unknown fields. One error has all of its mistakes.

    Read-only fields are accepted and ignored.
    """

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated values. Raises ValidationError with all mistakes by field."""
        values, errors = self.read(data)
        for name, texts in self.contradictions(values, errors).items():
            errors.setdefault(name, texts)
        if errors:
            self.add_errors(data, values, errors)
            raise serializers.ValidationError(errors)
        return values

    def read(self, data: Any) -> tuple[dict[str, Any], Errors]:
        """Return the valid values and the errors of the other fields."""
        if not isinstance(data, Mapping):
            super().to_internal_value(data)  # raises
        errors: Errors = dict(data.problems) if isinstance(data, JsonObject) else {}
        errors |= self._unknown_fields(data)
        values: dict[str, Any] = {}
        for field in self._writable_fields:
            name = str(field.field_name)
            try:
                value = field.run_validation(field.get_value(data))
                validate: Callable[[Any], Any] | None = getattr(self, f"validate_{name}", None)
                self.set_value(values, field.source_attrs, validate(value) if validate else value)
            except serializers.ValidationError as error:
                errors.setdefault(name, error.detail)
            except DjangoValidationError as error:
                errors.setdefault(name, get_error_detail(error))
            except SkipField:
                pass
        return values, errors

    def _unknown_fields(self, data: Mapping[str, Any]) -> Errors:
        unknown = sorted(set(data) - set(self.fields))
        text = f"Unknown field. Known fields: {', '.join(self.fields) or 'none'}."
        errors: Errors = {name[:NAME_LENGTH]: [text] for name in unknown[:UNKNOWN_MAX]}
        if (more := len(unknown) - UNKNOWN_MAX) > 0:
            errors[api_settings.NON_FIELD_ERRORS_KEY] = [f"{more} more fields are unknown."]
        return errors

    def contradictions(self, values: dict[str, Any], errors: Errors) -> Errors:
        """Return errors of valid fields that contradict each other."""
        return {}

    def add_errors(self, data: Any, values: dict[str, Any], errors: Errors) -> None:
        """Add the errors that are otherwise found later, when the values are used."""


class StrictModelSerializer(StrictBody, serializers.ModelSerializer[Any]):
    """A model serializer with strict JSON types. A PUT sets missing fields to their defaults."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: TextField,
        models.TextField: TextField,
        models.BooleanField: BooleanField,
        models.JSONField: ObjectField,
        models.IntegerField: IntegerField,
        models.PositiveIntegerField: IntegerField,
    }
    serializer_choice_field = ChoiceField
    serializer_related_field = RowIdField
    # Groups of fields that the model checks together. If one is invalid, the others are not
    # checked, since their errors could come from its missing value.
    checked_together: ClassVar[tuple[frozenset[str], ...]] = ()
    without_default: ClassVar[frozenset[str]] = frozenset()

    def read(self, data: Any) -> tuple[dict[str, Any], Errors]:
        """Return the valid values, in a PUT with defaults, and the errors of the other fields."""
        values, errors = super().read(data)
        row = self.instance
        if row is None:
            return values, errors
        if data.get("id", row.pk) != row.pk:
            name = row._meta.verbose_name
            errors["id"] = [
                f"The URL names {name} {row.pk}, the body {data['id']}: send one of them."
            ]
        if not self.partial:
            for name in self._defaulted_names() - set(data):
                values.setdefault(name, row._meta.get_field(name).get_default())
        return values, errors

    def add_errors(self, data: Any, values: dict[str, Any], errors: Errors) -> None:
        """Add the errors that the model finds in the valid values."""
        for name, texts in self.model_errors(values, errors).items():
            errors.setdefault(name, texts)

    def model_errors(self, values: dict[str, Any], errors: Errors) -> Errors:
        """Return the errors that the model finds; ``errors``: those of invalid fields."""
        row = self.row_with(values)
        unchecked = set(errors)
        for group in self.checked_together:
            if group & set(errors):
                unchecked |= group
        try:
            row.full_clean(exclude=unchecked | set(self.unread_columns()))
        except DjangoValidationError as error:
            return {
                name: texts for name, texts in error.message_dict.items() if name not in unchecked
            }
        return {}

    def row_with(self, values: dict[str, Any]) -> Any:
        """Return a copy of the row, or a new one, with these values."""
        row = self._model() if self.instance is None else copy.copy(self.instance)
        for name, value in values.items():
            setattr(row, name, value)
        return row

    def unread_columns(self) -> set[str]:
        """Return the columns of the model that the body does not have."""
        columns = {field.name for field in self._model._meta.concrete_fields}
        return columns - {str(field.source) for field in self._writable_fields}

    @property
    def _model(self) -> type[models.Model]:
        return cast("type[models.Model]", self.Meta.model)

    def _defaulted_names(self) -> set[str]:
        columns = {field.name for field in self._model._meta.concrete_fields}
        named = {
            str(field.source)
            for field in self._writable_fields
            if not field.required and field.source in columns
        }
        return named - self.without_default


def read_body(
    serializer_class: type[StrictBody], request: Request, **context: object
) -> dict[str, Any]:
    """Return the validated body of a request. Raises ValidationError by field."""
    body = serializer_class(data=request.data, context=context)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)
