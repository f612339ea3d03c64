"""Rename an index that has the name of a check constraint of the same table.

Introspection of MariaDB fails for two objects of one name (``connection.check_constraints()``).
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("remediation", "0018_help_texts")]

    operations = [
        migrations.RenameIndex("bucketrun", new_name="run_stop_status", old_name="run_stop")
    ]
