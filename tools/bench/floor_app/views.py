"""The floor's one view, at every address."""

from django.http import HttpRequest, JsonResponse
from django.urls import re_path

from tools.bench.floor_app.models import Call


def accept(request: HttpRequest) -> JsonResponse:
    """Write one row and answer as PoundCake does."""
    Call.objects.create(size=len(request.body))
    return JsonResponse({"status": "accepted"}, status=202)


urlpatterns = [re_path("", accept)]
