"""Instruments by venue and symbol with stated terms, and the events of market data."""

import datetime

import django.db.models.deletion
from django.db import migrations, models

# Instruments made before venues and terms were stated: simulated ones carry that label.
STATE_TERMS = """
UPDATE trading_instrument SET venue = CASE source_label WHEN 'SIMULATED' THEN 'sim'
    ELSE 'binanceusdm' END;
UPDATE trading_instrument SET maintenance_tiers = '[["inf", "0.004"]]'
    WHERE maintenance_tiers = '[]';
"""

WALLS = """
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "trading_marketevent"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "trading_marketevent"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "trading_marketevent" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "trading_marketevent" ENABLE ALWAYS TRIGGER append_only_truncate;
REVOKE ALL ON "trading_marketevent" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "trading_marketevent" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "trading_marketevent" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
GRANT UPDATE (tick, lot, metadata_source, metadata_at) ON trading_instrument
  TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0004_arming_walls"),
    ]

    operations = [
        migrations.CreateModel(
            name="MarketEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=40)),
                ("venue", models.CharField(max_length=30)),
                ("source", models.CharField(max_length=200)),
                ("occurred_at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField()),
                ("detail", models.JSONField(default=dict)),
            ],
        ),
        migrations.AlterModelOptions(
            name="instrument",
            options={"ordering": ["symbol", "venue"]},
        ),
        migrations.AddField(
            model_name="instrument",
            name="metadata_at",
            field=models.DateTimeField(
                default=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
                help_text="The time for which that source states them.",
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="instrument",
            name="metadata_source",
            field=models.CharField(
                default="terms of an earlier version",
                help_text="Where tick, lot, minimum, fees and tiers come from.",
                max_length=200,
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="instrument",
            name="symbol",
            field=models.CharField(max_length=60),
        ),
        migrations.AlterField(
            model_name="instrument",
            name="venue",
            field=models.CharField(max_length=30),
        ),
        migrations.RunSQL(STATE_TERMS, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="instrument",
            constraint=models.UniqueConstraint(
                fields=("venue", "symbol"), name="trading_instrument_once_a_venue"
            ),
        ),
        migrations.AddField(
            model_name="marketevent",
            name="instrument",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trading.instrument",
            ),
        ),
        migrations.AddIndex(
            model_name="marketevent",
            index=models.Index(fields=["-recorded_at"], name="trading_marketevent_newest"),
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
