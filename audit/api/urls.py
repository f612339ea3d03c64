"""Where the record is: below the API's prefix."""

from audit.api.views import RequestViewSet
from remediation.api.urls import Router

router = Router()
router.register("requests", RequestViewSet, basename="request")
urlpatterns = router.urls
