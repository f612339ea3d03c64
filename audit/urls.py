"""URLs of the report pages."""

from django.urls import path

from audit import views

app_name = "audit"
urlpatterns = [
    # A path converter: a request id inserted by SQL may contain any character.
    path("requests/<path:request_id>/", views.story, name="story"),
    path("failures/", views.failures, name="failures"),
]
