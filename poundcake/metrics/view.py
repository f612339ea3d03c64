"""The endpoint that Prometheus scrapes.

Source: https://prometheus.io/docs/instrumenting/content_negotiation/
"""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from rest_framework.request import Request
from rest_framework.views import APIView

from poundcake.metrics import gauges, totals
from remediation.api.negotiation import JsonOnlyNegotiation
from remediation.models import Scope


class Everything(Collector):
    """All metrics of PoundCake."""

    def collect(self) -> Iterator[Metric]:
        """Yield the totals and the gauges."""
        yield from totals.families()
        yield from gauges.families()


@extend_schema(exclude=True)
class Metrics(APIView):
    """Metrics for Prometheus."""

    content_negotiation_class = JsonOnlyNegotiation
    scopes = {"get": Scope.READ}

    def get(self, request: Request) -> HttpResponse:
        """Return all samples in the text format or, if the scraper asks for it, as OpenMetrics."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(encode(Everything()), content_type=content_type)
