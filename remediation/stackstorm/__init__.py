"""The StackStorm client: typed frozen results and two errors."""

from remediation.stackstorm.actions import ActionInfo, ParameterInfo
from remediation.stackstorm.client import MAX_IDS_PER_REQUEST, StackStormClient
from remediation.stackstorm.errors import StackStormError, StackStormRejected, StackStormUnavailable
from remediation.stackstorm.executions import (
    FINAL_STATUSES,
    KNOWN_STATUSES,
    UNCANCELABLE_STATUSES,
    CancelResult,
    Execution,
    ExecutionResult,
    ExecutionState,
    RerunExecution,
    StatusChange,
    TracedExecution,
)
from remediation.stackstorm.failure_text import failure_text
from remediation.stackstorm.inquiries import (
    Inquiry,
    expired_reason,
    inquiries_among,
    read_inquiry,
    ttl_of,
)
from remediation.stackstorm.launch_request import NOTIFY_ROUTE
from remediation.stackstorm.responses import MAX_RETRY_AFTER
from remediation.stackstorm.send_deadline import TooLateToSend, unless_too_late
from remediation.stackstorm.urls import api_base, stream_base
from remediation.stackstorm.users import UserInfo

__all__ = [
    "FINAL_STATUSES",
    "KNOWN_STATUSES",
    "MAX_IDS_PER_REQUEST",
    "MAX_RETRY_AFTER",
    "NOTIFY_ROUTE",
    "UNCANCELABLE_STATUSES",
    "ActionInfo",
    "CancelResult",
    "Execution",
    "ExecutionResult",
    "ExecutionState",
    "Inquiry",
    "ParameterInfo",
    "RerunExecution",
    "StackStormClient",
    "StackStormError",
    "StackStormRejected",
    "StackStormUnavailable",
    "StatusChange",
    "TooLateToSend",
    "TracedExecution",
    "UserInfo",
    "api_base",
    "expired_reason",
    "failure_text",
    "inquiries_among",
    "read_inquiry",
    "stream_base",
    "ttl_of",
    "unless_too_late",
]
