"""The addresses of the machine's API, below /api/v1/; a slash at the end may be left out."""

from __future__ import annotations

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from remediation.api import history, pausing, views, webhook


class Router(SimpleRouter):
    """A router that does not insist on the slash at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"


router = Router()
router.register("actions", views.ActionViewSet)
router.register("buckets", views.BucketViewSet)
router.register("steps", views.StepViewSet)
router.register("alerts", history.AlertViewSet)
router.register("runs", history.RunViewSet)
router.register("executions", history.ExecutionViewSet)
router.register("transitions", history.TransitionViewSet)

urlpatterns = [
    re_path(r"^webhook/?$", webhook.AlertmanagerWebhook.as_view(), name="webhook"),
    re_path(
        r"^stackstorm/webhook/?$", webhook.StackStormWebhook.as_view(), name="stackstorm-webhook"
    ),
    re_path(r"^pause/?$", pausing.PauseView.as_view(), name="pause"),
    *router.urls,
]
