"""URLs of remediation's API, relative to /api/v1/. The trailing slash is optional."""

from __future__ import annotations

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from remediation.api import definition_views, history_views, pause_view, webhook


class OptionalSlashRouter(SimpleRouter):
    """A router whose URLs match with and without the trailing slash."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"


router = OptionalSlashRouter()
router.register("actions", definition_views.ActionViewSet)
router.register("buckets", definition_views.BucketViewSet)
router.register("steps", definition_views.StepViewSet)
router.register("alerts", history_views.AlertViewSet)
router.register("runs", history_views.RunViewSet)
router.register("executions", history_views.ExecutionViewSet)
router.register("transitions", history_views.TransitionViewSet)

urlpatterns = [
    re_path(r"^webhook/?$", webhook.AlertmanagerWebhook.as_view(), name="webhook"),
    re_path(
        r"^stackstorm/webhook/?$", webhook.StackStormWebhook.as_view(), name="stackstorm-webhook"
    ),
    re_path(r"^pause/?$", pause_view.PauseView.as_view(), name="pause"),
    *router.urls,
]
