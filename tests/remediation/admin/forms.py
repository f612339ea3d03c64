"""Fill in admin's forms as a browser does."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse


def page(model: type[Model], name: str, *arguments: object) -> str:
    """Return the address of a page of a model: changelist, add, change, delete."""
    return reverse(f"admin:remediation_{model._meta.model_name}_{name}", args=arguments)


def fields_of(response: HttpResponse) -> dict[str, Any]:
    """Return what the browser would send if nobody changed anything."""
    form = response.context["adminform"].form
    formsets = [inline.formset for inline in response.context["inline_admin_formsets"]]
    sent: dict[str, Any] = {}
    for part in [form, *(formset.management_form for formset in formsets)]:
        sent |= _values(part)
    for formset in formsets:
        for row in formset.forms:
            sent |= _values(row)
    return sent


def send(client: Client, address: str, **changes: Any) -> HttpResponse:
    """Open a form, change some fields and save it; ``__`` in a name stands for a hyphen."""
    fields = fields_of(client.get(address))
    fields |= {name.replace("__", "-"): value for name, value in changes.items()}
    return client.post(address, {key: value for key, value in fields.items() if value is not None})


def errors_of(response: HttpResponse) -> str:
    """Return all errors that the page shows, as text."""
    assert response.status_code == 200, "the form was accepted"
    form = response.context["adminform"].form
    formsets = [inline.formset for inline in response.context["inline_admin_formsets"]]
    found = [
        form.errors,
        *(part for each in formsets for part in [*each.errors, each.non_form_errors()]),
    ]
    return " ".join(str(errors) for errors in found)


def _values(form: Any) -> dict[str, Any]:
    values = {}
    for bound in form:
        value = bound.value()
        if value is False:
            continue
        values[bound.html_name] = "on" if value is True else "" if value is None else value
        if bound.field.show_hidden_initial:
            values[bound.html_initial_name] = value
    return values
