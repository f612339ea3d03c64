"""URLs of the recorded API calls."""

from audit.api.views import AuditEventViewSet, RequestViewSet
from remediation.api.urls import OptionalSlashRouter

router = OptionalSlashRouter()
router.register("requests", RequestViewSet, basename="request")
router.register("audit-events", AuditEventViewSet)
urlpatterns = router.urls
