"""The models of remediation."""

from remediation.models.action import Action
from remediation.models.actor import ActorKind, Cause
from remediation.models.alert import Alert
from remediation.models.audit_event import AuditEvent
from remediation.models.bucket import Bucket, BucketStep
from remediation.models.bucket_version import BucketVersion
from remediation.models.config import ConfigValue
from remediation.models.early_resolve import EarlyResolve
from remediation.models.execution import ActionExecution
from remediation.models.heartbeat import Heartbeat
from remediation.models.idempotency_key import IdempotencyKey
from remediation.models.ids import new_id
from remediation.models.job_schedule import JobSchedule
from remediation.models.metric_total import MetricPosition, MetricTotal
from remediation.models.pause import Pause
from remediation.models.problem import Problem
from remediation.models.rejected_alert import RejectedAlert
from remediation.models.rerun import Rerun
from remediation.models.restore import Restore
from remediation.models.run import BucketRun
from remediation.models.text_lookups import Begins, HasText
from remediation.models.token import ApiToken, Scope
from remediation.models.transition import (
    AppendOnlyError,
    IllegalTransitionError,
    Transition,
    TransitionBatch,
)

__all__ = [
    "Action",
    "ActionExecution",
    "ActorKind",
    "Alert",
    "ApiToken",
    "AppendOnlyError",
    "AuditEvent",
    "Begins",
    "Bucket",
    "BucketRun",
    "BucketStep",
    "BucketVersion",
    "Cause",
    "ConfigValue",
    "EarlyResolve",
    "HasText",
    "Heartbeat",
    "IdempotencyKey",
    "IllegalTransitionError",
    "JobSchedule",
    "MetricPosition",
    "MetricTotal",
    "Pause",
    "Problem",
    "RejectedAlert",
    "Rerun",
    "Restore",
    "Scope",
    "Transition",
    "TransitionBatch",
    "new_id",
]
