import remediation.clock
import remediation.models.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """Add ``updated_at`` and the keys of repeated requests.

    ``updated_at`` of existing rows is the time of the migration: they have not changed since.
    """

    dependencies = [
        ("remediation", "0023_metric_totals"),
    ]

    operations = [
        migrations.AddField(
            model_name='action',
            name='updated_at',
            field=models.DateTimeField(db_default=remediation.models.fields.UtcNow(), default=remediation.clock.now, editable=False),
        ),
        migrations.AddField(
            model_name='bucket',
            name='updated_at',
            field=models.DateTimeField(db_default=remediation.models.fields.UtcNow(), default=remediation.clock.now, editable=False),
        ),
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('caller', remediation.models.fields.KeyField(max_length=64)),
                ('key', remediation.models.fields.KeyField(max_length=255)),
                ('request_sha256', remediation.models.fields.KeyField(max_length=64)),
                ('status_code', models.PositiveSmallIntegerField()),
                ('body', models.TextField()),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'idempotency_keys',
                'indexes': [models.Index(fields=['created_at'], name='idempotency_key_created')],
                'constraints': [models.UniqueConstraint(fields=('caller', 'key'), name='idempotency_key')],
            },
        ),
    ]
