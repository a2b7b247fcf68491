"""The newest lines of the audit trail are found without sorting all of them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0015_signed_refusals")]
    operations = [
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["seq", "chain"], name="core_audit_number"),
        )
    ]
