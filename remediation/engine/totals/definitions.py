"""The counters and histograms, in the conventions of Prometheus.

Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from remediation.process_counts import Counter, Histogram

# Counted from transitions. The labels ``bucket`` and ``action`` are stored as ids.
RUNS_CREATED = Counter(
    name="poundcake_runs_created_total",
    help="Runs that were created, by bucket and trigger.",
    labels=("bucket", "trigger"),
)
RUNS_ENDED = Counter(
    name="poundcake_runs_ended_total",
    help="Runs that ended, by bucket and outcome. An unknown run ends again once it is known.",
    labels=("bucket", "outcome"),
)
EXECUTIONS_ENDED = Counter(
    name="poundcake_executions_ended_total",
    help="Executions of steps that ended, by bucket, action and outcome.",
    labels=("action", "bucket", "outcome"),
)
FIRST_CALL = Histogram(
    name="poundcake_alert_to_first_call_seconds",
    help="Time from the alert that created an automatic run to the run's first call.",
    bounds=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0),
)
TIME_TO_REMEDIATE = Histogram(
    name="poundcake_time_to_remediate_seconds",
    help="Time from the alert that created an automatic run to the run's success.",
    labels=("bucket",),
    bounds=(1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 14_400.0),
)

# Counted by each process.
API_REQUESTS = Counter(
    name="poundcake_api_requests_total",
    help="API requests, by endpoint and HTTP status.",
    labels=("code", "endpoint"),
)
API_SECONDS = Histogram(
    name="poundcake_api_request_duration_seconds",
    help="Time to respond to API requests, by endpoint.",
    labels=("endpoint",),
    bounds=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
ALERTS_RECEIVED = Counter(
    name="poundcake_alerts_received_total",
    help="Alerts of notifications, by what PoundCake did with them.",
    labels=("disposition",),
)
INTAKE_TRANSACTIONS = Counter(
    name="poundcake_intake_transactions_total",
    help="Transactions that stored notifications; those that arrive together share one.",
)
ALERTS_TRUNCATED = Counter(
    name="poundcake_alerts_truncated_total",
    help="Alerts that Alertmanager left out of its notifications because of max_alerts.",
)
UNRECORDED_CALLS = Counter(
    name="poundcake_unrecorded_calls_total",
    help="API calls that could not be recorded.",
)
SKIPPED_RECORDS = Counter(
    name="poundcake_skipped_records_total",
    help="API calls without valid credentials that were not recorded, because there were too many.",
)
STACKSTORM_REQUESTS = Counter(
    name="poundcake_stackstorm_requests_total",
    help="Requests to StackStorm, by method and HTTP status; code none: no response.",
    labels=("code", "method"),
)
STACKSTORM_SECONDS = Histogram(
    name="poundcake_stackstorm_request_duration_seconds",
    help="Time until StackStorm responded, or until the request failed.",
    labels=("method",),
    bounds=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
DATABASE_ERRORS = Counter(
    name="poundcake_database_errors_total",
    help="Statements and connections that the database refused, by kind.",
    labels=("kind",),
)

COUNTERS = (
    RUNS_CREATED,
    RUNS_ENDED,
    EXECUTIONS_ENDED,
    API_REQUESTS,
    ALERTS_RECEIVED,
    INTAKE_TRANSACTIONS,
    ALERTS_TRUNCATED,
    UNRECORDED_CALLS,
    SKIPPED_RECORDS,
    STACKSTORM_REQUESTS,
    DATABASE_ERRORS,
)
HISTOGRAMS = (FIRST_CALL, TIME_TO_REMEDIATE, API_SECONDS, STACKSTORM_SECONDS)
