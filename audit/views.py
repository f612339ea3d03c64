"""Report pages for staff users with the role read."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django import forms
from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audit import reports
from remediation import clock
from remediation.engine.visibility import visible_to
from remediation.models import Scope
from remediation.models.roles import has_role

DAYS_DEFAULT = 7

Parameters = ParamSpec("Parameters")
Page = Callable[Concatenate[HttpRequest, Parameters], HttpResponse]


class FailuresQuery(forms.Form):
    """Query parameters of the failures page. ``before``: a run id."""

    days = forms.IntegerField(min_value=1, max_value=3_650, required=False)
    before = forms.IntegerField(min_value=1, required=False)


def for_readers(page: Page[Parameters]) -> Page[Parameters]:
    """Redirect anonymous users to the login; return 403 without staff status or the role read."""

    @login_required(login_url="admin:login")
    @wraps(page)
    def guarded(
        request: HttpRequest, /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> HttpResponse:
        if not admin.site.has_permission(request) or not has_role(request.user, Scope.READ):
            raise PermissionDenied("These pages need staff status and the role read.")
        return page(request, *args, **kwargs)

    return guarded


@for_readers
def story(request: HttpRequest, request_id: str) -> HttpResponse:
    """Show the story of a request id."""
    result = reports.story(request_id)
    if result is None:
        context = {"title": "Story not found", "request_id": request_id}
        return _render(request, "audit/no_story.html", context, status=404)
    result = visible_to(request, result)
    return _render(request, "audit/story.html", {"title": result.title, "story": result})


@for_readers
def failures(request: HttpRequest) -> HttpResponse:
    """Show runs that need an operator, and recent failures."""
    query = FailuresQuery(request.GET)
    is_valid = query.is_valid()
    page = reports.recent_failures(
        days=query.cleaned_data.get("days") or DAYS_DEFAULT,
        before=query.cleaned_data.get("before"),
        at=clock.now(),
    )
    context = {
        "title": "Recent failures",
        "page": visible_to(request, page),
        "errors": query.errors,
        "choices_of_days": (1, 7, 30, 90),
    }
    return _render(request, "audit/failures.html", context, status=200 if is_valid else 400)


def _render(
    request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    return render(request, template, admin.site.each_context(request) | context, status=status)
