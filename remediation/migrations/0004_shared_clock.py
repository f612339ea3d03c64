from django.db import migrations, models

import remediation.clock
import remediation.models.fields

MODELS = ("action", "actionexecution", "alert", "apitoken", "bucket", "bucketrun")


def created_at() -> models.DateTimeField:
    return models.DateTimeField(
        db_default=remediation.models.fields.UtcNow(),
        default=remediation.clock.now,
        editable=False,
    )


class Migration(migrations.Migration):
    """Rows are stamped with the shared clock; the tables stay as they are."""

    dependencies = [("remediation", "0003_flat_growth")]

    operations = [
        migrations.SeparateDatabaseAndState(
            # SQLite would copy each table for a default that only Python knows.
            state_operations=[
                migrations.AlterField(name, "created_at", created_at()) for name in MODELS
            ]
        )
    ]
