import datetime

import django.core.validators
from django.db import migrations, models
from django.db.models import Max, OuterRef, Subquery
from django.utils import timezone

import remediation.models.fields


def fill_identities(apps, schema_editor):
    """Give the runs that a cooldown still counts from the identity that their alert had."""
    buckets = apps.get_model("remediation", "Bucket").objects.filter(cooldown_seconds__gt=0)
    longest = buckets.aggregate(longest=Max("cooldown_seconds"))["longest"]
    if not longest:
        return
    fingerprint = (
        apps.get_model("remediation", "Alert").objects.filter(pk=OuterRef("alert_id")).values("fingerprint")
    )
    apps.get_model("remediation", "BucketRun").objects.filter(
        bucket__in=list(buckets.values_list("pk", flat=True)),
        started_at__gt=timezone.now() - datetime.timedelta(seconds=longest),
    ).update(identity=Subquery(fingerprint))


class Migration(migrations.Migration):
    """Cooldowns that delay, and the labels by which they count."""

    dependencies = [("remediation", "0008_refusals")]

    operations = [
        migrations.AddField(
            model_name="bucket",
            name="group_by",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="The labels that make two alerts the same for the cooldown, such as alertname, instance. Empty: all labels",
            ),
        ),
        migrations.AlterField(
            model_name="bucket",
            name="cooldown_seconds",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="No automatic run sooner than this after the last one for the same alert",
                validators=[django.core.validators.MaxValueValidator(31536000)],
            ),
        ),
        migrations.AddField(
            model_name="bucketrun",
            name="held_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="bucketrun",
            name="identity",
            field=remediation.models.fields.KeyField(
                blank=True, db_default="", default="", max_length=16
            ),
        ),
        migrations.RunPython(fill_identities, migrations.RunPython.noop, elidable=True),
    ]
