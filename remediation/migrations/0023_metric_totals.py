import remediation.models.fields
from django.db import migrations, models


def begin_at_the_newest_transition(apps, schema_editor):
    """Count from now on: counting the past would look like a burst of runs."""
    newest = apps.get_model("remediation", "Transition").objects.order_by("-pk").first()
    apps.get_model("remediation", "MetricPosition").objects.create(
        name="transitions", position=newest.pk if newest else 0
    )


class Migration(migrations.Migration):
    """Keep the totals of metrics in the database."""

    dependencies = [
        ("remediation", "0022_actor_kinds"),
    ]

    operations = [
        migrations.CreateModel(
            name="MetricPosition",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=50, unique=True)),
                ("position", models.BigIntegerField(db_default=0, default=0)),
                ("missing", models.JSONField(db_default=[], default=list)),
                ("version", models.BigIntegerField(db_default=0, default=0)),
            ],
            options={
                "db_table": "metric_positions",
            },
        ),
        migrations.CreateModel(
            name="MetricTotal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", remediation.models.fields.KeyField(max_length=64, unique=True)),
                ("name", models.CharField(max_length=100)),
                ("labels", models.JSONField(default=dict)),
                ("value", models.FloatField(db_default=0.0, default=0.0)),
            ],
            options={
                "db_table": "metric_totals",
            },
        ),
        migrations.RunPython(begin_at_the_newest_transition, migrations.RunPython.noop),
    ]
