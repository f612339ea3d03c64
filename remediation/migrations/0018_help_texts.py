import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    """Rewrite help texts; the tables do not change."""

    dependencies = [
        ('remediation', '0017_process_heartbeats'),
    ]

    operations = [
        migrations.AlterField(
            model_name='bucket',
            name='alert_name_pattern',
            field=models.CharField(blank=True, db_default='', default='', help_text='RE2, anchored: HostDown matches this name only, HostDown|NodeDown either', max_length=500),
        ),
        migrations.AlterField(
            model_name='bucket',
            name='continue_matching',
            field=models.BooleanField(db_default=False, default=False, help_text='Also match the alert against later buckets'),
        ),
        migrations.AlterField(
            model_name='bucket',
            name='cooldown_seconds',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='Minimum seconds between automatic runs for the same alert', validators=[django.core.validators.MaxValueValidator(31536000)]),
        ),
        migrations.AlterField(
            model_name='bucket',
            name='group_by',
            field=models.TextField(blank=True, db_default='', default='', help_text='Labels that identify an alert for the cooldown, such as alertname, instance. Empty: all labels'),
        ),
        migrations.AlterField(
            model_name='bucket',
            name='on_resolved',
            field=models.CharField(choices=[('continue', 'Continue'), ('stop', 'Stop'), ('cancel', 'Cancel')], db_default='continue', default='continue', help_text='What to do with a started run when its alert resolves', max_length=20),
        ),
        migrations.AlterField(
            model_name='bucket',
            name='timeout_seconds',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='Seconds for a run; 0 means no limit, or 3600 for a workflow', validators=[django.core.validators.MaxValueValidator(2592000)]),
        ),
        migrations.AlterField(
            model_name='bucket',
            name='use_stackstorm',
            field=models.BooleanField(db_default=False, default=False, verbose_name='workflow in StackStorm'),
        ),
        migrations.AlterField(
            model_name='bucketstep',
            name='name',
            field=models.CharField(blank=True, db_default='', default='', help_text="Name in templates: steps.NAME.result. Empty: the action's name", max_length=200),
        ),
    ]
