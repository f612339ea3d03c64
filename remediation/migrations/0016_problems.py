from django.db import migrations, models

PREFIX = "failing:"


def copy_problems(apps, schema_editor):
    """Copy the current problems; their names lose the prefix."""
    Problem = apps.get_model("remediation", "Problem")
    for beat in apps.get_model("remediation", "Heartbeat").objects.exclude(note="").order_by("pk"):
        if beat.name == "stackstorm" or beat.name.startswith(PREFIX):
            Problem.objects.create(
                name=beat.name.removeprefix(PREFIX),
                text=beat.note,
                since=beat.beat_at,
                reported_at=beat.due_at,
                next_try_at=beat.due_at,
                failures=max(beat.failures, 1),
            )


class Migration(migrations.Migration):
    """Store current problems in a table of their own.

    Processes of the release before go on with their rows in ``heartbeats``, so each release shows
    the problems that its own processes meet. No problem is lost: one that an old process reported
    after this migration is reported again by the first new process that meets it.
    """

    dependencies = [("remediation", "0015_job_schedules")]

    operations = [
        migrations.CreateModel(
            "Problem",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=50, unique=True)),
                ("text", models.TextField()),
                ("since", models.DateTimeField()),
                ("reported_at", models.DateTimeField()),
                ("next_try_at", models.DateTimeField()),
                ("failures", models.PositiveIntegerField(db_default=1, default=1)),
            ],
            {"db_table": "problems"},
        ),
        migrations.RunPython(copy_problems, migrations.RunPython.noop, elidable=True),
    ]
