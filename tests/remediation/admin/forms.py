"""Read and submit admin forms as a browser does."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.test import Client
from django.urls import reverse


def page(model: type[Model], name: str, *arguments: object) -> str:
    """Return the URL of a page of a model: changelist, add, change or delete."""
    opts = model._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_{name}", args=arguments)


def fields_of(response: Any) -> dict[str, Any]:
    """Return the data that a browser submits for an unchanged form."""
    form = response.context["adminform"].form
    formsets = [inline.formset for inline in response.context["inline_admin_formsets"]]
    data: dict[str, Any] = {}
    for part in [form, *(formset.management_form for formset in formsets)]:
        data |= _values(part)
    for formset in formsets:
        for row in formset.forms:
            data |= _values(row)
    return data


def submit(client: Client, url: str, **changes: Any) -> Any:
    """Open a form, change some fields and save it; ``__`` in a name becomes a hyphen."""
    fields = fields_of(client.get(url))
    fields |= {name.replace("__", "-"): value for name, value in changes.items()}
    return client.post(url, {key: value for key, value in fields.items() if value is not None})


def errors_of(response: Any) -> str:
    """Return all form errors of the page as text."""
    assert response.status_code == 200, "the form was saved"
    form = response.context["adminform"].form
    formsets = [inline.formset for inline in response.context["inline_admin_formsets"]]
    errors = [
        form.errors,
        *(part for each in formsets for part in [*each.errors, each.non_form_errors()]),
    ]
    return " ".join(str(error) for error in errors)


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
