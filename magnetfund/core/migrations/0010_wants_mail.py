"""Whether an account wants copies of messages by mail."""

from django.db import migrations, models

WALLS = """
GRANT UPDATE ("wants_mail") ON "core_user" TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0009_role_proposals"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="wants_mail",
            field=models.BooleanField(
                default=True, help_text="Copies of messages in the portal are mailed."
            ),
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
