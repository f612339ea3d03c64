import remediation.models.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('remediation', '0019_rename_run_stop_index'),
    ]

    operations = [
        migrations.CreateModel(
            name='Restore',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(unique=True)),
                ('actor', remediation.models.fields.ExactCharField(max_length=150)),
            ],
            options={
                'db_table': 'restores',
            },
        ),
    ]
