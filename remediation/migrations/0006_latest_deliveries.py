from django.db import migrations, models

import remediation.models.fields


class Migration(migrations.Migration):
    """What the latest delivery of an alert says, and resolves that overtook their firing."""

    dependencies = [("remediation", "0005_prepare_attempts")]

    operations = [
        migrations.AddField(
            "alert", "external_url", models.TextField(blank=True, db_default="", default="")
        ),
        migrations.AddField(
            "alert", "group_labels", models.JSONField(blank=True, db_default={}, default=dict)
        ),
        migrations.AddField(
            "alert", "values", models.JSONField(blank=True, db_default={}, default=dict)
        ),
        migrations.CreateModel(
            "EarlyResolve",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "labels_fingerprint",
                    remediation.models.fields.KeyField(max_length=16, unique=True),
                ),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
            ],
            {
                "db_table": "early_resolves",
                "indexes": [models.Index(fields=["received_at"], name="early_resolve_received")],
            },
        ),
    ]
