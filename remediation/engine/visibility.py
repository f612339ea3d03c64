"""What a caller may see: readers below the role ``edit`` see values under secret names masked.

Every way out calls ``visible_to``: the API's renderer, the rows of admin pages and the reports.
Labels, annotations, literals in definitions and URLs with credentials are stored as they are,
because StackStorm must receive them and matching reads them; here they are masked for display.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable
from django.utils.safestring import SafeString

from remediation import redaction
from remediation.engine.secret_values import known_secrets
from remediation.models import ApiToken, ConfigValue, Scope
from remediation.models.roles import has_role

LEVELS_MAX = 64  # of a response; a stored value has up to 32, inside up to ten of our own

Value = TypeVar("Value")


def sees_secrets(request: Any) -> bool:
    """Return whether the caller has the scope or the role ``edit``.

    Editors must see the literals in definitions in order to change them.
    """
    token = getattr(request, "auth", None)
    if isinstance(token, ApiToken):
        return token.allows(Scope.EDIT)
    return has_role(request.user, Scope.EDIT)


def visible_to(request: Any, value: Value) -> Value:
    """Return what the caller may see of JSON, text, a row, a queryset or a report.

    Rows are changed in place, so use them only for display. Markup (SafeString) is unchanged.
    """
    return value if sees_secrets(request) else cast("Value", _mask(value))


def _mask(value: Any) -> Any:
    if isinstance(value, SafeString):
        return value
    if isinstance(value, str):
        return redaction.mask_text(value, known_secrets())
    if isinstance(value, Mapping):
        return redaction.mask(value, secrets=known_secrets(), levels=LEVELS_MAX)
    if isinstance(value, Model):
        return _mask_row(value)
    if isinstance(value, QuerySet):
        rows = value.all()
        rows._iterable_class = _MaskedRows
        return rows
    if isinstance(value, list | tuple):
        shown = [_mask(item) for item in value]
        return tuple(shown) if isinstance(value, tuple) else shown
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        masked = {field.name: _mask(getattr(value, field.name)) for field in _fields(value)}
        return dataclasses.replace(value, **masked)
    return value


def _fields(value: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(value)


class _MaskedRows(ModelIterable[Any]):
    """The rows of a queryset, masked when they are read."""

    def __iter__(self) -> Iterator[Any]:
        return map(_mask_row, super().__iter__())


def _mask_row(row: Model) -> Model:
    """Mask the loaded columns of a row, and of the rows that were read with it."""
    for name in {field.attname for field in row._meta.concrete_fields} & row.__dict__.keys():
        value = row.__dict__[name]
        if isinstance(value, str | dict | list):
            row.__dict__[name] = _mask(value)
    if isinstance(row, ConfigValue) and redaction.is_secret_name(row.key):
        row.value = redaction.MASK
    for related in row._state.fields_cache.values():
        if isinstance(related, Model):
            _mask_row(related)
    return row
