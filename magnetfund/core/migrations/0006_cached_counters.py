"""Counters of throttles in PostgreSQL, and what the role that stops may read."""

from django.db import migrations, models

GRANTS = """
REVOKE ALL ON core_cachedcounter FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON core_cachedcounter TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT, UPDATE, DELETE ON core_cachedcounter TO fa_app, fa_gateway;
-- What a stop by a person reads before it stops: who asks, and whether he may.
GRANT USAGE ON SCHEMA public TO fa_stop;
GRANT SELECT ON django_session, core_user, core_rolegrant TO fa_stop;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0005_words"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="CachedCounter",
            fields=[
                ("cache_key", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("value", models.TextField()),
                ("expires", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
