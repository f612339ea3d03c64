from django.db import migrations, models


def ask_again(apps, schema_editor):
    # The commands that actions build are not known yet: StackStorm is asked before they are needed.
    apps.get_model("remediation", "Action").objects.update(st2_checked_at=None)


class Migration(migrations.Migration):
    """Keep what an action's command is built from, and what changed in StackStorm."""

    dependencies = [("remediation", "0011_clock_skew")]

    operations = [
        migrations.AddField(
            "action",
            "st2_command",
            models.JSONField(blank=True, db_default={}, default=dict, editable=False),
        ),
        migrations.AddField(
            "action",
            "st2_change",
            models.TextField(blank=True, db_default="", default="", editable=False),
        ),
        migrations.AddField(
            "action",
            "st2_changed_at",
            models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RunPython(ask_again, migrations.RunPython.noop),
    ]
