from django.db import migrations, models


def copy_heartbeats(apps, schema_editor):
    """Copy the heartbeats of clusters and of the stream's reader."""
    Heartbeat = apps.get_model("remediation", "Heartbeat")
    for beat in apps.get_model("remediation", "EarlierHeartbeat").objects.order_by("pk"):
        if beat.name == "stream" or ("@" in beat.name and ":" not in beat.name):
            Heartbeat.objects.create(
                name=beat.name, beat_at=beat.beat_at, skew_seconds=beat.skew_seconds
            )


class Migration(migrations.Migration):
    """Store the heartbeats of processes in a table of their own.

    The table ``heartbeats``, which also held job schedules and problems, stays in the database
    for processes of the release before; a later release drops it. While both releases run, each
    sees the heartbeats of its own processes. A worker supervises clusters of its own release, so
    it stops none of the other.
    """

    dependencies = [("remediation", "0016_problems")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RenameModel("Heartbeat", "EarlierHeartbeat")]
        ),
        migrations.CreateModel(
            "Heartbeat",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=50, unique=True)),
                ("beat_at", models.DateTimeField()),
                ("skew_seconds", models.FloatField(db_default=0.0, default=0.0)),
            ],
            {"db_table": "process_heartbeats"},
        ),
        migrations.RunPython(copy_heartbeats, migrations.RunPython.noop, elidable=True),
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.DeleteModel("EarlierHeartbeat")]
        ),
    ]
