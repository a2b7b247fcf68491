"""Mail that waits to be sent."""

from django.db import migrations, models

import magnetfund.kernel.clock

WALLS = """
REVOKE ALL ON "core_outgoingmail" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "core_outgoingmail" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "core_outgoingmail" TO fa_app, fa_gateway;
GRANT UPDATE ("next_try_at", "claimed_at", "sent_at", "tries", "problem") ON "core_outgoingmail" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0006_cached_counters"),
    ]

    operations = [
        migrations.CreateModel(
            name="OutgoingMail",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=160, unique=True)),
                ("kind", models.CharField(max_length=40)),
                ("recipient", models.EmailField(max_length=254)),
                ("params", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("next_try_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("claimed_at", models.DateTimeField(blank=True, null=True)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("problem", models.CharField(blank=True, max_length=200)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("claimed_at", None), ("sent_at", None)),
                        fields=["next_try_at"],
                        name="core_outgoingmail_waiting",
                    )
                ],
            },
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
