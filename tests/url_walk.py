"""All URLs that a GET can open, with the ids of real rows."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.admindocs.views import extract_views_from_urlpatterns, simplify_regex
from django.urls import get_resolver

from audit.models import ApiCall
from remediation.admin.operations import ROWS_MAX
from remediation.models import (
    Action,
    ActionExecution,
    Alert,
    ApiToken,
    Bucket,
    BucketRun,
    BucketStep,
    BucketVersion,
    ConfigValue,
    Pause,
    Transition,
)

# Models by a segment of the path, in admin and in the API.
MODELS = {
    **{
        model._meta.model_name: model
        for model in (
            *(Action, ActionExecution, Alert, ApiToken, Bucket, BucketRun, BucketVersion),
            *(ConfigValue, Pause, Transition, ApiCall),
        )
    },
    "actions": Action,
    "alerts": Alert,
    "buckets": Bucket,
    "executions": ActionExecution,
    "runs": BucketRun,
    "steps": BucketStep,
    "transitions": Transition,
}
WITHOUT_ROWS = ("/logout/", "/jsi18n/", "/password_change/", "/autocomplete/")


def all_urls() -> Iterator[str]:
    """Yield the URL of every page and endpoint, for every row that it can show."""
    for _view, pattern, _namespace, _name in extract_views_from_urlpatterns(
        get_resolver().url_patterns
    ):
        path = simplify_regex(str(pattern)).replace("<format>", "json")
        if not path.endswith(WITHOUT_ROWS):
            yield from _with_ids(path)


def _with_ids(path: str) -> Iterator[str]:
    if "<" not in path:
        yield path
        model = next((MODELS[part] for part in path.split("/") if part in MODELS), None)
        if model and path.startswith("/admin/remediation/"):
            ids = model._default_manager.values_list("pk", flat=True)[:ROWS_MAX]
            # An operation's page shows the rows whose ids the query names.
            yield f"{path}?{'&'.join(f'id={pk}' for pk in ids)}"
        return
    start, rest = path.split("<", 1)
    name, end = rest.split(">", 1)
    for value in _values(name, start):
        yield from _with_ids(f"{start}{value}{end}")


def _values(name: str, start: str) -> list[object]:
    if name == "request_id":
        return [
            *ApiCall.objects.values_list("request_id", flat=True),
            *Alert.objects.values_list("request_id", flat=True),
        ]
    model = next((MODELS[part] for part in start.split("/") if part in MODELS), None)
    if name in ("pk", "object_id") and model:
        return list(model._default_manager.values_list("pk", flat=True))
    return []
