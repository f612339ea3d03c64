from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("remediation", "0010_rejected_alerts")]

    operations = [
        migrations.AddField(
            model_name="heartbeat",
            name="skew_seconds",
            field=models.FloatField(db_default=0.0, default=0.0),
        ),
    ]
