from django.db import migrations

from remediation.models.fields import AlterOnMariaDB, ExactCharField


class Migration(migrations.Migration):
    """Texts that are compared character by character on MariaDB, as on SQLite."""

    dependencies = [("audit", "0001_initial")]

    operations = [
        AlterOnMariaDB("apicall", "actor", ExactCharField(blank=True, max_length=150)),
        AlterOnMariaDB("apicall", "client_host", ExactCharField(blank=True, max_length=100)),
        AlterOnMariaDB("apicall", "client_request_id", ExactCharField(blank=True, max_length=200)),
        AlterOnMariaDB("apicall", "method", ExactCharField(max_length=10)),
        AlterOnMariaDB("apicall", "path", ExactCharField(max_length=500)),
    ]
