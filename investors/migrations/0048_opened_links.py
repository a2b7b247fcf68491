"""Which link of an application was opened last: its session is the one that counts."""

from django.db import migrations, models

# A session of before was opened by the newest link, since any newer one ended it.
OPENED = """
UPDATE investors_application SET opened_generation = generation WHERE email_proved_at IS NOT NULL;
"""
GRANT = 'GRANT UPDATE ("opened_generation") ON "investors_application" TO fa_app, fa_gateway;'


class Migration(migrations.Migration):
    dependencies = [("investors", "0047_times_of_decisions")]

    operations = [
        migrations.AddField(
            model_name="application",
            name="opened_generation",
            field=models.PositiveIntegerField(
                default=0,
                help_text="Number of the newest link that was opened; sessions of older ones are "
                "over.",
            ),
        ),
        migrations.RunSQL(OPENED, migrations.RunSQL.noop),
        migrations.RunSQL(GRANT, migrations.RunSQL.noop),
    ]
