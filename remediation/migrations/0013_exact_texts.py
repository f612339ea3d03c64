from django.db import migrations

from remediation.models.fields import AlterOnMariaDB, ExactCharField


class Migration(migrations.Migration):
    """Texts that are compared character by character on MariaDB, as on SQLite."""

    dependencies = [("remediation", "0012_action_knowledge")]

    operations = [
        AlterOnMariaDB("action", "action_type", ExactCharField(db_default="stackstorm",
                default="stackstorm",
                help_text="stackstorm, workflow, or the name of a local action",
                max_length=50,)),
        AlterOnMariaDB("action", "name", ExactCharField(max_length=200, unique=True)),
        AlterOnMariaDB("action", "st2_action_ref", ExactCharField(blank=True,
                db_default="",
                default="",
                help_text="pack.name, for example linux.service",
                max_length=200,
                verbose_name="StackStorm action",)),
        AlterOnMariaDB("action", "st2_pack", ExactCharField(blank=True, db_default="", default="", max_length=100, verbose_name="StackStorm pack",)),
        AlterOnMariaDB("actionexecution", "st2_action_execution_status", ExactCharField(blank=True, max_length=50)),
        AlterOnMariaDB("alert", "alert_name", ExactCharField(blank=True, max_length=255)),
        AlterOnMariaDB("alert", "instance", ExactCharField(blank=True, max_length=255)),
        AlterOnMariaDB("alert", "receiver", ExactCharField(blank=True, max_length=255)),
        AlterOnMariaDB("alert", "severity", ExactCharField(blank=True, max_length=255)),
        AlterOnMariaDB("apitoken", "name", ExactCharField(max_length=150, unique=True)),
        AlterOnMariaDB("bucket", "name", ExactCharField(max_length=200, unique=True)),
        AlterOnMariaDB("bucketrun", "actor", ExactCharField(default="system", max_length=150)),
        AlterOnMariaDB("bucketversion", "sha256", ExactCharField(db_index=True, max_length=64)),
        AlterOnMariaDB("transition", "actor", ExactCharField(max_length=150)),
        AlterOnMariaDB("transition", "to_status", ExactCharField(max_length=20)),
    ]
