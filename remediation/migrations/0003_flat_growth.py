from django.db import migrations, models


class Migration(migrations.Migration):
    """Indexes for lists and ticks that cost the same however much there is."""

    dependencies = [("remediation", "0002_launch_order")]

    operations = [
        migrations.RemoveIndex("actionexecution", "execution_status_id"),
        migrations.RemoveIndex("transition", "transition_subject"),
        migrations.AddIndex(
            "alert", models.Index(fields=["status"], name="alert_status_id")
        ),
        migrations.AddIndex(
            "alert", models.Index(fields=["created_at"], name="alert_created")
        ),
        migrations.AddIndex(
            "bucketrun", models.Index(fields=["bucket", "id"], name="run_bucket_id")
        ),
        migrations.AddIndex(
            "bucketrun", models.Index(fields=["created_at"], name="run_created")
        ),
        migrations.AddIndex(
            "bucketrun", models.Index(fields=["stop", "status"], name="run_stop")
        ),
        migrations.AddIndex(
            "actionexecution",
            models.Index(fields=["status", "created_at"], name="execution_status_created"),
        ),
        migrations.AddIndex(
            "actionexecution", models.Index(fields=["created_at"], name="execution_created")
        ),
        migrations.AddIndex(
            "transition",
            models.Index(fields=["subject_id", "subject_type"], name="transition_subject"),
        ),
        migrations.AddIndex("transition", models.Index(fields=["at"], name="transition_at")),
    ]
