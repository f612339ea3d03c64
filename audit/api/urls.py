"""Where the record is: below the API's prefix."""

from rest_framework.routers import SimpleRouter

from audit.api.views import RequestViewSet

router = SimpleRouter()
router.register("requests", RequestViewSet, basename="request")
urlpatterns = router.urls
