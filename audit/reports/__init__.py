"""Reports as frozen dataclasses."""

from audit.reports.failed_runs import Failure, FailurePage, recent_failures
from audit.reports.stories import Story, story

__all__ = ["Failure", "FailurePage", "Story", "recent_failures", "story"]
