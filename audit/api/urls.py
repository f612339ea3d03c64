"""URLs of the recorded API calls."""

from audit.api.views import RequestViewSet
from remediation.api.urls import OptionalSlashRouter

router = OptionalSlashRouter()
router.register("requests", RequestViewSet, basename="request")
urlpatterns = router.urls
