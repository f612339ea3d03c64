from django.db import migrations, models


class Migration(migrations.Migration):
    """Count the attempts to prepare an execution, and hold it for the worker that does so."""

    dependencies = [("remediation", "0004_shared_clock")]

    operations = [
        migrations.AddField(
            "actionexecution",
            "prepare_attempts",
            models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            "actionexecution",
            "preparing_until",
            models.DateTimeField(blank=True, null=True),
        ),
    ]
