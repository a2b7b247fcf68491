from datetime import timedelta

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

import magnetfund.kernel.clock

WALLS = """
REVOKE ALL ON "trading_candlefile" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "trading_candlefile" TO fa_app, fa_gateway, fa_auditor;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "trading_candlefile"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "trading_candlefile"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "trading_candlefile" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "trading_candlefile" ENABLE ALWAYS TRIGGER append_only_truncate;

CREATE FUNCTION wall_candle() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  -- A file holds it; nobody but the owner may delete one at all.
  IF tg_op = 'DELETE' AND EXISTS (
    SELECT 1 FROM public.trading_candlefile f
    WHERE f.instrument_id = OLD.instrument_id AND f.timeframe = OLD.timeframe
      AND f.starts_at <= OLD.open_time AND OLD.open_time < f.ends_at
  ) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'append-only: % on % is refused', tg_op, tg_table_name
    USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER append_only_row ON "trading_candle";
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "trading_candle"
  FOR EACH ROW EXECUTE FUNCTION wall_candle();
ALTER TABLE "trading_candle" ENABLE ALWAYS TRIGGER append_only_row;
"""

BACK = """
DO $$
BEGIN
  IF EXISTS (SELECT 1 FROM trading_candlefile) THEN
    RAISE EXCEPTION 'minutes lie in files of the home, which the earlier version cannot read';
  END IF;
END $$;
DROP TRIGGER append_only_row ON "trading_candle";
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "trading_candle"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
ALTER TABLE "trading_candle" ENABLE ALWAYS TRIGGER append_only_row;
DROP FUNCTION wall_candle();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0021_saved_stresses"),
    ]

    operations = [
        migrations.CreateModel(
            name="CandleFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("timeframe", models.CharField(max_length=4)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("rows", models.PositiveIntegerField()),
                ("size", models.PositiveIntegerField(help_text="Bytes of the file.")),
                ("sha256", models.CharField(max_length=64)),
                ("path", models.CharField(max_length=200, unique=True)),
                ("archived_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="trading.instrument",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["instrument", "timeframe", "starts_at"],
                        name="trading_candlefile_span",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(ends_at__gt=F("starts_at"))
                        & Q(ends_at__lte=F("archived_at") - timedelta(days=30)),
                        name="trading_candlefile_old",
                    ),
                    models.CheckConstraint(
                        condition=Q(rows__gt=0) & Q(size__gt=0) & Q(timeframe="1m"),
                        name="trading_candlefile_minutes",
                    ),
                ],
            },
        ),
        migrations.RunSQL(WALLS, BACK),
    ]
