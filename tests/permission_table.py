"""Who may do what: the expected permissions of every URL, for the permission matrix test.

A level is a role or scope, or one of:

- ``public``: everybody.
- ``staff``: every user with staff status, also without a role.
- ``caller``: every active user and every token.
- ``own``: everybody; it affects only the caller's own session. Unsupported verbs are 405.
- ``none``: nobody, not even a superuser.
- ``405``: nobody; the URL does not support the verb.
"""

from __future__ import annotations

VERBS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

# Levels of the API by verb. HEAD is like GET, OPTIONS is for every caller, others are 405.
API: dict[str, dict[str, str]] = {
    "/api/v1/webhook/": {"POST": "webhook"},
    "/api/v1/stackstorm/webhook/": {"POST": "stackstorm"},
    "/api/v1/pause/": {"GET": "read", "POST": "operate", "DELETE": "operate"},
    "/api/v1/actions/": {"GET": "read", "POST": "edit"},
    "/api/v1/actions/{pk}/": {"GET": "read", "PUT": "edit", "PATCH": "edit", "DELETE": "edit"},
    "/api/v1/buckets/": {"GET": "read", "POST": "edit"},
    "/api/v1/buckets/{pk}/": {"GET": "read", "PUT": "edit", "PATCH": "edit", "DELETE": "edit"},
    "/api/v1/buckets/{pk}/run/": {"POST": "operate"},
    "/api/v1/buckets/{pk}/simulate/": {"POST": "read"},
    "/api/v1/steps/": {"GET": "read", "POST": "edit"},
    "/api/v1/steps/{pk}/": {"GET": "read", "PUT": "edit", "PATCH": "edit", "DELETE": "edit"},
    "/api/v1/alerts/": {"GET": "read"},
    "/api/v1/alerts/{pk}/": {"GET": "read"},
    "/api/v1/alerts/{pk}/explanation/": {"GET": "read"},
    "/api/v1/alerts/{pk}/retry/": {"POST": "operate"},
    "/api/v1/runs/": {"GET": "read"},
    "/api/v1/runs/{pk}/": {"GET": "read"},
    "/api/v1/runs/{pk}/cancel/": {"POST": "operate"},
    "/api/v1/runs/{pk}/retry/": {"POST": "operate"},
    "/api/v1/executions/": {"GET": "read"},
    "/api/v1/executions/{pk}/": {"GET": "read"},
    "/api/v1/executions/{pk}/set-outcome/": {"POST": "operate"},
    "/api/v1/transitions/": {"GET": "read"},
    "/api/v1/transitions/{pk}/": {"GET": "read"},
    "/api/v1/requests/": {"GET": "read"},
    "/api/v1/requests/{request_id}/": {"GET": "read"},
    "/api/v1/audit-events/": {"GET": "admin"},
    "/api/v1/audit-events/{pk}/": {"GET": "admin"},
    "/api/v1/schema/": {"GET": "read"},
    "/api/v1/docs/": {"GET": "read"},
    # 404 for every caller.
    "/api/": dict.fromkeys(VERBS, "caller"),
    "/metrics": {"GET": "read"},
}

# Levels of pages by verb. Pages treat a verb without an entry like GET.
PAGES: dict[str, dict[str, str]] = {
    "/": {"GET": "public"},
    "/healthz": {"GET": "public"} | dict.fromkeys(VERBS[2:], "405"),
    "/readyz": {"GET": "public"} | dict.fromkeys(VERBS[2:], "405"),
    "/audit/failures/": {"GET": "read"},
    "/audit/requests/{request_id}/": {"GET": "read"},
    "/admin/": {"GET": "staff"},
    "/admin/login/": {"GET": "public", "PATCH": "405", "DELETE": "405"},
    "/admin/password_change/": {"GET": "staff", "PATCH": "405", "DELETE": "405"},
    "/admin/password_change/done/": {"GET": "staff"} | dict.fromkeys(VERBS[3:], "405"),
    "/admin/jsi18n/": {"GET": "staff", "POST": "405", "PUT": "405", "PATCH": "405"}
    | {"DELETE": "405"},
    # Lists the actions' names for a select widget; a field of an own form would need it.
    "/admin/autocomplete/": {"GET": "none", "POST": "405", "PUT": "405", "PATCH": "405"}
    | {"OPTIONS": "staff", "DELETE": "405"},
    # 404: no model has a page outside the admin.
    "/admin/r/{content_type_id}/{object_id}/": {"GET": "staff"},
    "/admin/remediation/": {"GET": "staff"},
    "/admin/{url}": {"GET": "staff"},
    "/admin/remediation/alert/match_again/": {"GET": "operate"},
    "/admin/remediation/alert/run_by_hand/": {"GET": "operate"},
    "/admin/remediation/actionexecution/set-outcome/": {"GET": "operate"},
    "/admin/remediation/bucketrun/stop/": {"GET": "operate"},
    "/admin/remediation/bucketrun/cancel/": {"GET": "operate"},
    "/admin/remediation/bucketrun/retry_from_failed/": {"GET": "operate"},
    "/admin/remediation/bucketrun/retry_from_start/": {"GET": "operate"},
    "/admin/remediation/pause/begin/": {"GET": "operate"},
    "/admin/remediation/pause/resume/": dict.fromkeys(VERBS, "405") | {"POST": "operate"},
    "/admin/auth/user/{id}/password/": {"GET": "admin"},
    # The last: POST ends the session. Without a session, it redirects to the front page.
    "/admin/logout/": {"GET": "own"},
}

# Levels to view, add, change and delete the rows of a model in the admin.
MODELS: dict[str, tuple[str, str, str, str]] = {
    "remediation/action": ("read", "edit", "edit", "edit"),
    "remediation/bucket": ("read", "edit", "edit", "edit"),
    "remediation/configvalue": ("read", "edit", "edit", "edit"),
    "remediation/alert": ("read", "none", "none", "none"),
    "remediation/bucketrun": ("read", "none", "none", "none"),
    "remediation/actionexecution": ("read", "none", "none", "none"),
    "remediation/bucketversion": ("read", "none", "none", "none"),
    "remediation/pause": ("read", "none", "none", "none"),
    "remediation/transition": ("read", "none", "none", "none"),
    "audit/apicall": ("read", "none", "none", "none"),
    "remediation/apitoken": ("admin", "admin", "none", "none"),
    "remediation/auditevent": ("admin", "none", "none", "none"),
    "auth/user": ("admin", "admin", "admin", "none"),
    "auth/group": ("admin", "admin", "admin", "admin"),
}

# Levels of the list actions, for selected rows.
LIST_ACTIONS: dict[str, dict[str, str]] = {
    "remediation/action": {"enable": "edit", "disable": "edit"},
    "remediation/bucket": {"enable": "edit", "disable": "edit"},
    "remediation/configvalue": {"delete_selected": "edit"},
    "remediation/alert": {"match_again": "operate"},
    "remediation/bucketrun": dict.fromkeys(
        ("stop", "cancel", "retry_from_failed", "retry_from_start"), "operate"
    ),
    "remediation/apitoken": {"revoke": "admin"},
    "auth/group": {"delete_selected": "admin"},
}


def model_pages() -> dict[str, dict[str, str]]:
    """Return the levels of the pages of all models by verb."""
    pages: dict[str, dict[str, str]] = {}
    for model, (view, add, change, delete) in MODELS.items():
        pages |= {
            f"/admin/{model}/": {"GET": view},
            f"/admin/{model}/add/": {"GET": add},
            f"/admin/{model}/{{pk}}/history/": {"GET": view},
            f"/admin/{model}/{{pk}}/delete/": {"GET": delete},
            f"/admin/{model}/{{pk}}/change/": {"GET": view, "POST": change},
            # Redirects to the page above.
            f"/admin/{model}/{{pk}}/": {"GET": "staff"},
        }
    return pages
