"""The view of the baseline, at every URL."""

from django.http import HttpRequest, JsonResponse
from django.urls import re_path

from tools.bench.baseline_app.models import Call


def accept(request: HttpRequest) -> JsonResponse:
    """Write one row and respond like PoundCake."""
    Call(size=len(request.body)).save(force_insert=True)
    return JsonResponse({"status": "accepted"}, status=202)


urlpatterns = [re_path("", accept)]
