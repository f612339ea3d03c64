from django.db import migrations, models

import remediation.models.fields


class Migration(migrations.Migration):
    """Alerts that came in and could not be acted on."""

    dependencies = [("remediation", "0009_cooldown_delays")]

    operations = [
        migrations.CreateModel(
            "RejectedAlert",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("request_id", remediation.models.fields.KeyField(max_length=64)),
                ("received_at", models.DateTimeField()),
                ("client", models.CharField(blank=True, max_length=100)),
                ("receiver", models.CharField(blank=True, max_length=255)),
                ("place", models.PositiveIntegerField()),
                ("alert_name", models.CharField(blank=True, max_length=255)),
                ("reason", models.TextField()),
                ("total", models.PositiveBigIntegerField()),
            ],
            {"db_table": "rejected_alerts"},
        )
    ]
