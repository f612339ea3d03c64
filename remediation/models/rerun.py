"""Re-runs of our executions, started in StackStorm."""

from __future__ import annotations

from django.db import models

from remediation.models.execution import ActionExecution
from remediation.models.fields import KeyField, created_field


class Rerun(models.Model):
    """A re-run of an execution, started by a user in StackStorm. It is displayed but not followed.

    ``rerun_of``: StackStorm's id of the execution that was re-run, ours or an earlier re-run.
    ``st2_status`` and ``started_at`` are StackStorm's values.
    """

    execution = models.ForeignKey(ActionExecution, on_delete=models.PROTECT, related_name="reruns")
    st2_execution_id = KeyField(max_length=100, unique=True)
    rerun_of = KeyField(max_length=100)
    st2_status = models.CharField(max_length=50)
    st2_user = models.CharField(max_length=150, blank=True)
    st2_web_url = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    created_at = created_field()

    class Meta:
        db_table = "execution_reruns"
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.st2_execution_id}: re-run of {self.rerun_of}"
