"""No recorded exchange that the client can meet goes untested."""

from tests.remediation.stackstorm import (
    test_actions_user_version,
    test_cancel,
    test_credentials,
    test_reading,
    test_run_action,
)
from tests.remediation.stackstorm.recordings import names

TESTED = {
    *test_run_action.CREATED,
    *test_run_action.REJECTED,
    *test_run_action.NOT_CARRIED_OUT,
    *test_run_action.AMBIGUOUS,
    *test_reading.EXECUTIONS,
    *test_reading.CHILDREN,
    *test_reading.LISTS,
    *test_reading.LIST_REFUSALS,
    *test_reading.ONE_REFUSALS,
    *test_cancel.ANSWERS,
    "delete-execution-unknown-404",
    *test_credentials.UNAUTHORIZED,
    *test_credentials.TOKEN_ANSWERS,
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

# Answers to requests that the client never makes.
NEVER_MET = {
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


def test_every_recording_that_the_client_can_meet_is_tested() -> None:
    can_be_met = names(
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

    assert set(can_be_met) - NEVER_MET - TESTED == set()
