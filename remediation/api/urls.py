"""The addresses of the machine's API, below /api/v1/; a slash at the end may be left out."""

from __future__ import annotations

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from remediation.api import views, webhook


class Router(SimpleRouter):
    """A router that does not insist on the slash at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"


router = Router()
router.register("actions", views.ActionViewSet)
router.register("buckets", views.BucketViewSet)
router.register("steps", views.StepViewSet)
router.register("alerts", views.AlertViewSet)
router.register("runs", views.RunViewSet)
router.register("executions", views.ExecutionViewSet)
router.register("transitions", views.TransitionViewSet)

urlpatterns = [
    re_path(r"^webhook/?$", webhook.AlertmanagerWebhook.as_view(), name="webhook"),
    re_path(
        r"^stackstorm/webhook/?$", webhook.StackStormWebhook.as_view(), name="stackstorm-webhook"
    ),
    *router.urls,
]
