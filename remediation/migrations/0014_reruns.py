import django.db.models.deletion
from django.db import migrations, models

import remediation.clock
import remediation.models.fields


class Migration(migrations.Migration):
    """Keep what people ran again in StackStorm beside the execution that they repeated."""

    dependencies = [("remediation", "0013_exact_texts")]

    operations = [
        migrations.AddField(
            "actionexecution",
            "reruns_due_at",
            models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddIndex(
            "actionexecution",
            models.Index(fields=["reruns_due_at"], name="execution_reruns_due"),
        ),
        migrations.CreateModel(
            name="Rerun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "st2_execution_id",
                    remediation.models.fields.KeyField(max_length=100, unique=True),
                ),
                ("rerun_of", remediation.models.fields.KeyField(max_length=100)),
                ("st2_status", models.CharField(max_length=50)),
                ("st2_user", models.CharField(blank=True, max_length=150)),
                ("st2_web_url", models.TextField(blank=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=remediation.models.fields.UtcNow(),
                        default=remediation.clock.now,
                        editable=False,
                    ),
                ),
                (
                    "execution",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reruns",
                        to="remediation.actionexecution",
                    ),
                ),
            ],
            options={"db_table": "execution_reruns", "ordering": ["pk"]},
        ),
    ]
