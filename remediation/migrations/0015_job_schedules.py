from django.db import migrations, models

JOBS = ("tick", "prune", "reruns")


def copy_schedules(apps, schema_editor):
    """Copy the due times of the recurring jobs and the count of starts without an end."""
    beats = apps.get_model("remediation", "Heartbeat").objects
    for beat in beats.filter(name__in=JOBS).order_by("pk"):
        begun = beats.filter(name=f"begun:{beat.name}").first()
        apps.get_model("remediation", "JobSchedule").objects.create(
            name=beat.name,
            started_at=beat.beat_at,
            due_at=beat.due_at,
            unfinished_starts=begun.failures if begun else 0,
        )


class Migration(migrations.Migration):
    """Store when recurring jobs are due in a table of their own.

    Processes of the release before go on with their rows in ``heartbeats``. While both releases
    run, each starts the tick's periodic work once in POLL_INTERVAL, so it runs up to twice as
    often. That is harmless: each part of it can run at any time and any number of times.
    """

    dependencies = [("remediation", "0014_reruns")]

    operations = [
        migrations.CreateModel(
            "JobSchedule",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=50, unique=True)),
                ("started_at", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                ("unfinished_starts", models.PositiveIntegerField(db_default=0, default=0)),
            ],
            {"db_table": "job_schedules"},
        ),
        migrations.RunPython(copy_schedules, migrations.RunPython.noop, elidable=True),
    ]
