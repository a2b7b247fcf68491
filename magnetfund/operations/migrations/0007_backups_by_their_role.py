"""What became of a backup is written by the backups' role alone."""

from django.db import migrations

TABLES = "operations_backup, operations_backupcheck, operations_backupcopy"


class Migration(migrations.Migration):
    dependencies = [("operations", "0006_proposed_costs")]
    operations = [
        migrations.RunSQL(
            f"REVOKE INSERT ON {TABLES} FROM fa_app, fa_gateway;",
            f"GRANT INSERT ON {TABLES} TO fa_app, fa_gateway;",
        )
    ]
