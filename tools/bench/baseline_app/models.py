"""The table of the baseline."""

from django.db import models


class Call(models.Model):
    received_at = models.DateTimeField(auto_now_add=True)
    size = models.IntegerField()

    class Meta:
        app_label = "baseline_app"
        db_table = "bench_baseline"

    def __str__(self) -> str:
        return f"#{self.pk}"
