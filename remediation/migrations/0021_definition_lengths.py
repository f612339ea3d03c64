import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    """Limit the lengths of texts of definitions; the tables do not change."""

    dependencies = [
        ("remediation", "0020_restores"),
    ]

    operations = [
        migrations.AlterField(
            model_name='action',
            name='description',
            field=models.TextField(blank=True, db_default='', default='', validators=[django.core.validators.MaxLengthValidator(10000)]),
        ),
        migrations.AlterField(
            model_name='bucket',
            name='description',
            field=models.TextField(blank=True, db_default='', default='', validators=[django.core.validators.MaxLengthValidator(10000)]),
        ),
        migrations.AlterField(
            model_name='bucket',
            name='group_by',
            field=models.TextField(blank=True, db_default='', default='', help_text='Labels that identify an alert for the cooldown, such as alertname, instance. Empty: all labels', validators=[django.core.validators.MaxLengthValidator(1000)]),
        ),
        migrations.AlterField(
            model_name='bucket',
            name='label_matchers',
            field=models.TextField(blank=True, db_default='', default='', help_text='As in Alertmanager: severity=~"critical|page", team!="db"', validators=[django.core.validators.MaxLengthValidator(10000)]),
        ),
        migrations.AlterField(
            model_name='bucketstep',
            name='condition',
            field=models.TextField(blank=True, db_default='', default='', validators=[django.core.validators.MaxLengthValidator(10000)]),
        ),
    ]
