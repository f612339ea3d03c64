"""Generate a history of any length in the database server: a year of alerts.

Row n of alerts, runs, executions and API calls belong together, with five transitions. Only the
last rows are open, equally many in every history.
"""

from __future__ import annotations

import datetime
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.db import connection

OPEN = 60  # newest rows: 10 pending, 20 running, 5 unknown, all with firing alerts
UNCOUNTED = 500  # newest transitions that the metrics have not counted
DATABASES = ("small", "big")
NAMES = ("HostDown", "DiskFull", "HighLoad", "CertExpires", "QueueStuck")
# Definitions are created once and copied, so both databases hold the same rows.
DEFINITIONS = (
    "actions",
    "custom_action_buckets",
    "custom_action_bucket_steps",
    "bucket_versions",
    "api_tokens",
    "auth_user",
    "django_session",
)


def use(database: str) -> None:
    """Switch the connection to a database of the server."""
    with connection.cursor() as cursor:
        cursor.execute(f"USE `{database}`")


def copy_definitions(source: str, target: str) -> None:
    """Copy definitions, tokens and users from one database to another."""
    with connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        for table in DEFINITIONS:
            cursor.execute(f"INSERT INTO `{target}`.{table} SELECT * FROM `{source}`.{table}")
        cursor.execute("SET foreign_key_checks = 1")


def fill(database: str, rows: int) -> float:
    """Fill the empty tables of a database; return the seconds."""
    begin, now = time.monotonic(), datetime.datetime.now(datetime.UTC)
    with connection.cursor() as cursor:
        # The data needs no durability.
        cursor.execute("SELECT @@innodb_flush_log_at_trx_commit")
        (flushes,) = cursor.fetchone()
        cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    with ThreadPoolExecutor(len(TABLE_GROUPS)) as pool:
        list(pool.map(partial(_fill_tables, database, rows, now), TABLE_GROUPS))
    with connection.cursor() as cursor:
        cursor.execute(f"SET GLOBAL innodb_flush_log_at_trx_commit = {flushes}")
        # The follow worker counts the transitions of a tick later.
        cursor.execute(
            f"INSERT INTO `{database}`.metric_positions (name, position)"
            f" SELECT 'transitions', MAX(id) - {UNCOUNTED} FROM `{database}`.transitions"
            " ON DUPLICATE KEY UPDATE position = VALUES(position)"
        )
    return time.monotonic() - begin


def _fill_tables(database: str, rows: int, now: datetime.datetime, tables: tuple[str, ...]) -> None:
    use(database)
    with connection.cursor() as cursor:
        # For empty tables and without these checks, InnoDB builds each index in bulk. Without
        # derived_merge the shared expressions are computed once per row, not per column.
        cursor.execute("SET unique_checks = 0, foreign_key_checks = 0")
        cursor.execute("SET check_constraint_checks = 0")
        cursor.execute("SET optimizer_switch = 'derived_merge=off'")
        for table in tables:
            columns = TABLES[table]
            names = ", ".join(f"`{name}`" for name in columns)
            values = ", ".join(columns.values())
            cursor.execute(
                f"INSERT INTO {table} ({names}) SELECT {values} FROM {_numbers(table, rows, now)}"
            )
        cursor.execute(f"ANALYZE TABLE {', '.join(tables)}")
        cursor.fetchall()
    connection.close()


def _numbers(table: str, rows: int, now: datetime.datetime) -> str:
    """Return a derived table: row n, number j in it, k rows before the end, time t, request id."""
    per_row = PER_ROW.get(table, 1)
    begin = now - datetime.timedelta(days=365)
    apart = 365 * 24 * 3600 * 1_000_000 // rows
    t = f"TIMESTAMP'{begin:%Y-%m-%d %H:%M:%S}' + INTERVAL {apart} * n MICROSECOND"
    milliseconds = f"{round(begin.timestamp() * 1000)} + ({apart} * n DIV 1000)"
    return (
        f"(SELECT seq, n, j, {rows} - n AS k, {t} AS t,"
        f" LOWER(CONCAT(LPAD(HEX({milliseconds}), 12, '0'), LPAD(HEX(n), 20, '0'))) AS request"
        f" FROM (SELECT seq, (seq - 1) DIV {per_row} + 1 AS n, (seq - 1) MOD {per_row} AS j"
        f" FROM seq_1_to_{rows * per_row}) places) numbers"
    )


PER_ROW = {"transitions": 5}
# The tables that each of two connections fills.
TABLE_GROUPS = (("transitions", "bucket_runs"), ("alerts", "action_executions", "api_calls"))
_NAME = f"ELT(1 + n MOD 5, {', '.join(repr(name) for name in NAMES)})"
# Half of the alerts come from five noisy hosts.
_HOST = (
    "IF(n MOD 2, CONCAT('db-', n MOD 5, ':9100'),"
    " CONCAT('web-', LPAD(n MOD 2000, 4, '0'), ':9100'))"
)
_SEVERITY = "ELT(1 + n MOD 4, 'critical', 'page', 'warning', 'info')"
_FINGERPRINT = f"LEFT(MD5(CONCAT({_NAME}, {_HOST}, IF(k < {OPEN}, n, 0))), 16)"
_LABELS = (
    f"JSON_OBJECT('alertname', {_NAME}, 'instance', {_HOST}, 'severity', {_SEVERITY},"
    " 'job', 'node', 'team', 'infra')"
)
_ANNOTATIONS = (
    "JSON_OBJECT('summary', 'It does not respond.', 'description', REPEAT('so it is ', 9))"
)
_IS_FIRING = f"k < {OPEN}"
_ENDED = "t + INTERVAL 20 SECOND"
_OUTCOME = (
    "CASE WHEN n MOD 20 < 14 THEN 'success' WHEN n MOD 20 < 17 THEN 'failure'"
    " WHEN n MOD 20 = 17 THEN 'timeout' ELSE 'skipped' END"
)


def _status(final: str) -> str:
    return (
        "CASE WHEN k < 10 THEN 'pending' WHEN k < 30 THEN 'running' WHEN k < 35 THEN 'unknown'"
        f" ELSE {final} END"
    )


_IS_FINAL = "k >= 35"
_IS_STARTED = "k >= 10"
_ST2_ID = "CONCAT('5f9e', LOWER(LPAD(HEX(n), 20, '0')))"

TABLES = {
    "alerts": {
        "id": "n",
        "request_id": "request",
        "fingerprint": _FINGERPRINT,
        "active_fingerprint": f"IF({_IS_FIRING}, {_FINGERPRINT}, NULL)",
        "status": f"IF({_IS_FIRING}, 'firing', 'resolved')",
        "alert_name": _NAME,
        "severity": _SEVERITY,
        "instance": _HOST,
        "labels": _LABELS,
        "annotations": _ANNOTATIONS,
        "starts_at": "t",
        "ends_at": f"IF({_IS_FIRING}, NULL, {_ENDED})",
        "first_resolved_at": f"IF({_IS_FIRING}, NULL, {_ENDED})",
        "generator_url": "'https://prometheus.example.com/graph'",
        "group_key": "'{}:{}'",
        "receiver": "IF(n MOD 3, 'poundcake', 'night')",
        "occurrences": "1 + n MOD 7",
        "last_seen_at": "t",
        "reason": "IF(n MOD 10 = 3, 'The bucket matched, but cooling down.', '')",
        "raw_data": f"JSON_OBJECT('labels', {_LABELS}, 'annotations', {_ANNOTATIONS})",
        "created_at": "t",
    },
    "bucket_runs": {
        "id": "n",
        "request_id": "request",
        "number": "1",
        "trigger": "IF(n MOD 10 = 7, 'manual', 'alert')",
        "actor": "IF(n MOD 10 = 7, 'ada', 'system')",
        "status": _status(f"IF(n MOD 20 = 19, 'canceled', {_OUTCOME})"),
        "reason": f"IF({_OUTCOME} = 'success', '', 'restart: the unit was not found')",
        "stop": "''",
        "created_at": "t",
        "started_at": f"IF({_IS_STARTED}, t + INTERVAL 1 SECOND, NULL)",
        "completed_at": f"IF({_IS_FINAL}, {_ENDED}, NULL)",
        "alert_id": "n",
        "bucket_id": "1 + n MOD 5",
        "plan_id": "1 + n MOD 5",
    },
    "action_executions": {
        "id": "n",
        "request_id": "request",
        "step_order": "1",
        "attempt": "1",
        "name": "'restart'",
        "status": _status(_OUTCOME),
        "parameters": f"JSON_OBJECT('hosts', {_HOST}, 'cmd', 'systemctl restart nginx')",
        "executed_via_stackstorm": "n MOD 10 > 0 OR k < 35",
        "trace_tag": "CONCAT('poundcake-', request)",
        "st2_execution_id": f"IF({_IS_STARTED}, {_ST2_ID}, NULL)",
        "st2_liveaction_id": f"IF({_IS_STARTED}, {_ST2_ID}, NULL)",
        "st2_action_execution_status": f"IF({_IS_STARTED}, 'succeeded', '')",
        "st2_web_url": "'https://st2.example.com/#/history/1'",
        "st2_result": f"IF({_IS_FINAL}, JSON_OBJECT('stdout', REPEAT('ok ', 60)), NULL)",
        "error_message": f"IF({_OUTCOME} = 'success', '', 'the unit was not found')",
        "due_at": (
            "CASE WHEN k < 10 THEN t WHEN k < 35 THEN UTC_TIMESTAMP(6) + INTERVAL 9 HOUR END"
        ),
        "unanswered_launches": "0",
        "st2_ghost_ids": "'[]'",
        "created_at": "t",
        "started_at": f"IF({_IS_STARTED}, t + INTERVAL 1 SECOND, NULL)",
        "running_at": f"IF({_IS_STARTED}, t + INTERVAL 2 SECOND, NULL)",
        "completed_at": f"IF({_IS_FINAL}, {_ENDED}, NULL)",
        "action_id": "1 + n MOD 5",
        "alert_id": "n",
        "bucket_id": "1 + n MOD 5",
        "run_id": "n",
        "priority": "n MOD 4",
    },
    "transitions": {
        "id": "seq",
        "at": "t",
        "subject_type": "ELT(1 + j, 'alert', 'run', 'execution', 'execution', 'execution')",
        "subject_id": "n",
        "run_id": "IF(j = 0, NULL, n)",
        "request_id": "request",
        "cause_request_id": "IF(j < 3, request, '')",
        "from_status": "ELT(1 + j, '', '', '', 'pending', 'running')",
        "to_status": f"ELT(1 + j, 'firing', 'pending', 'pending', 'running', {_OUTCOME})",
        "actor": "ELT(1 + j, 'alertmanager', 'alertmanager', 'system', 'system', 'stackstorm')",
        "reason": "''",
        "data": "IF(j, '{}', JSON_OBJECT('receiver', 'poundcake', 'client', '10.0.0.9'))",
    },
    "api_calls": {
        "id": "n",
        "request_id": "request",
        "client_request_id": "IF(n MOD 2, CONCAT('theirs-', n), '')",
        "method": "IF(n MOD 5, 'POST', 'GET')",
        "path": "IF(n MOD 5, '/api/v1/webhook/', '/api/v1/runs/')",
        "query_params": "'{}'",
        "headers": "JSON_OBJECT('Host', 'poundcake.example.com', 'User-Agent', 'Alertmanager')",
        "body": f"JSON_OBJECT('alerts', JSON_ARRAY({_LABELS}), 'receiver', 'poundcake')",
        "client_host": "'10.0.0.9'",
        "actor": "IF(n MOD 5, 'alertmanager', 'grafana')",
        "status_code": "CASE WHEN n MOD 10 = 4 THEN 400 WHEN n MOD 5 THEN 202 ELSE 200 END",
        "response_body": f"JSON_OBJECT('alerts', JSON_ARRAY(JSON_OBJECT('fingerprint',"
        f" {_FINGERPRINT})))",
        "processing_time_ms": "3.5",
        "created_at": "t",
        "completed_at": "t + INTERVAL 4 MICROSECOND",
    },
}
