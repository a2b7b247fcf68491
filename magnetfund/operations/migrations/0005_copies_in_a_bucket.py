"""A row for each copy of a backup in a bucket."""

from django.db import migrations, models

import magnetfund.kernel.clock

WALLS = """
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "operations_backupcopy"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "operations_backupcopy"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "operations_backupcopy" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "operations_backupcopy" ENABLE ALWAYS TRIGGER append_only_truncate;
REVOKE ALL ON "operations_backupcopy" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "operations_backupcopy" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "operations_backupcopy" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
GRANT INSERT ON operations_backupcopy TO fa_backup;
GRANT USAGE, SELECT ON SEQUENCE operations_backupcopy_id_seq TO fa_backup;
"""


class Migration(migrations.Migration):
    dependencies = [("operations", "0004_proposed_dealings")]

    operations = [
        migrations.CreateModel(
            name="BackupCopy",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80)),
                (
                    "sha256",
                    models.CharField(help_text="Of the file that was to be copied.", max_length=64),
                ),
                ("made_at", models.DateTimeField(help_text="Instant of the backup's snapshot.")),
                ("place", models.CharField(help_text="Host, bucket and prefix.", max_length=300)),
                ("tried_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                (
                    "is_verified",
                    models.BooleanField(help_text="The bucket gave back the same bytes."),
                ),
                ("size", models.BigIntegerField(default=0)),
                ("seconds", models.FloatField(default=0.0)),
                ("detail", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "verbose_name_plural": "backup copies",
                "ordering": ["-tried_at"],
                "indexes": [
                    models.Index(fields=["place", "-made_at"], name="operations_copy_newest")
                ],
            },
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
