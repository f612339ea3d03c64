"""The floor's one table."""

from django.db import models


class Call(models.Model):
    received_at = models.DateTimeField(auto_now_add=True)
    size = models.IntegerField()

    class Meta:
        app_label = "floor_app"
        db_table = "bench_floor"

    def __str__(self) -> str:
        return f"#{self.pk}"
