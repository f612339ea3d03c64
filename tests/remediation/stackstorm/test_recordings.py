"""Every recorded exchange that the client can receive is tested."""

from tests.remediation.stackstorm import (
    test_actions_user_version,
    test_cancel,
    test_credentials,
    test_executions,
    test_run_action,
)
from tests.remediation.stackstorm.recordings import names

TESTED = {
    *test_run_action.CREATED,
    *test_run_action.REJECTED,
    *test_run_action.NOT_EXECUTED,
    *test_run_action.AMBIGUOUS,
    *test_executions.EXECUTIONS,
    *test_executions.CHILDREN,
    *test_executions.LISTS,
    *test_executions.LIST_REFUSALS,
    *test_executions.ONE_REFUSALS,
    *test_cancel.RESULTS,
    "delete-execution-unknown-404",
    *test_credentials.UNAUTHORIZED,
    *test_credentials.TOKEN_RESPONSES,
    *test_credentials.NO_TOKEN,
    *test_actions_user_version.VERSIONS,
    *test_actions_user_version.USERS,
    *test_actions_user_version.UNREGISTERED,
    "get-action-core-local",
    "get-action-overview-core-local",
    "get-action-overview-typed",
    "get-action-parameters-view-by-ref",
    "get-action-typed",
}

# Responses to requests that the client never makes.
NOT_REQUESTED = {
    "get-action-parameters-view",
    "get-execution-attribute-result",
    "get-execution-attribute-status",
    "get-execution-output",
    "get-execution-output-running",
    "get-execution-output-stdout",
    "get-execution-result-raw",
    "get-executions-views-filters",
    "rbac-post-apikey-403",
    "rbac-traces-403",
}


def test_every_relevant_recording_is_tested() -> None:
    relevant = names(
        "api-*",
        "auth-*",
        "delete-execution-*",
        "get-action-*",
        "get-execution-*",
        "get-executions-*",
        "get-root",
        "get-user",
        "get-version*",
        "nginx-*",
        "post-execution-*",
        "rbac-*",
        "unknown-path-404",
    )

    assert set(relevant) - NOT_REQUESTED - TESTED == set()
