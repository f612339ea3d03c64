"""Where the audit's pages are."""

from django.urls import path

from audit import views

app_name = "audit"
urlpatterns = [
    # A path, since a request id that came in by SQL may be any text.
    path("requests/<path:request_id>/", views.story, name="story"),
    path("failures/", views.failures, name="failures"),
]
