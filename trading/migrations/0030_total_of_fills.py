"""Fills are added up as they come, where each fill and payment of funding added up all of them.

A position is held against that sum; so is the sleeve that a position leaves by a change of names.
"""

import django.db.models.deletion
from django.db import migrations, models

import magnetfund.core.fields

SUMS = """
  INSERT INTO trading_filltotal AS kept (book, instrument_id, strategy, fills, quantity)
  SELECT f.book, f.instrument_id, f.strategy, count(*),
    sum(CASE f.side WHEN 'buy' THEN f.quantity ELSE -f.quantity END)
  FROM {source} f WHERE {where} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
WALL = f"""
CREATE FUNCTION trading_fill_total() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  {SUMS.format(source="added", where="true")}
  ON CONFLICT (book, strategy, instrument_id) DO UPDATE SET
    fills = kept.fills + excluded.fills, quantity = kept.quantity + excluded.quantity;
  RETURN NULL;
END $$;

-- Makes the sums of a book anew. Whoever books a fill meanwhile waits, and adds it afterwards.
CREATE FUNCTION trading_sum_fills(p_book text) RETURNS void LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  LOCK TABLE trading_filltotal IN SHARE ROW EXCLUSIVE MODE;
  DELETE FROM trading_filltotal WHERE book = p_book;
  {SUMS.format(source="trading_fill", where="f.book = p_book")};
END $$;

CREATE FUNCTION trading_hold_position(p_book text, p_instrument bigint, p_strategy text)
  RETURNS void LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE held numeric; told numeric;
BEGIN
  SELECT coalesce(sum(p.quantity), 0) INTO held FROM trading_position p
    WHERE p.book = p_book AND p.instrument_id = p_instrument AND p.strategy = p_strategy;
  SELECT coalesce(sum(f.quantity), 0) INTO told FROM trading_filltotal f
    WHERE f.book = p_book AND f.instrument_id = p_instrument AND f.strategy = p_strategy;
  IF held <> told THEN
    RAISE EXCEPTION 'position: % of book % is %, its fills add up to %',
      p_strategy, p_book, held, told USING ERRCODE = 'check_violation';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION trading_position_guard() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM trading_hold_position(new.book, new.instrument_id, new.strategy);
  IF TG_OP = 'UPDATE' AND (old.book, old.instrument_id, old.strategy)
      <> (new.book, new.instrument_id, new.strategy) THEN
    PERFORM trading_hold_position(old.book, old.instrument_id, old.strategy);
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION trading_fill_total, trading_sum_fills, trading_hold_position FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trading_sum_fills TO fa_gateway;

SELECT trading_sum_fills(book) FROM (SELECT DISTINCT book FROM trading_fill) books;

CREATE TRIGGER sum_of_fills AFTER INSERT ON trading_fill REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION trading_fill_total();
ALTER TABLE trading_fill ENABLE ALWAYS TRIGGER sum_of_fills;

-- A payment of funding changes no quantity.
DROP TRIGGER position_is_its_fills ON trading_position;
CREATE CONSTRAINT TRIGGER position_is_its_fills
  AFTER INSERT OR UPDATE OF quantity, book, instrument_id, strategy ON trading_position
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trading_position_guard();
ALTER TABLE trading_position ENABLE ALWAYS TRIGGER position_is_its_fills;

REVOKE ALL ON trading_filltotal FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON trading_filltotal TO fa_app, fa_gateway, fa_auditor;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""
BACK = """
CREATE OR REPLACE FUNCTION trading_position_guard() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE held numeric; told numeric;
BEGIN
  SELECT coalesce(sum(p.quantity), 0) INTO held FROM trading_position p
    WHERE p.book = new.book AND p.instrument_id = new.instrument_id AND p.strategy = new.strategy;
  SELECT coalesce(sum(CASE f.side WHEN 'buy' THEN f.quantity ELSE -f.quantity END), 0) INTO told
    FROM trading_fill f
    WHERE f.book = new.book AND f.instrument_id = new.instrument_id AND f.strategy = new.strategy;
  IF held <> told THEN
    RAISE EXCEPTION 'position: % of book % is %, its fills add up to %',
      new.strategy, new.book, held, told USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER position_is_its_fills ON trading_position;
CREATE CONSTRAINT TRIGGER position_is_its_fills AFTER INSERT OR UPDATE ON trading_position
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trading_position_guard();
ALTER TABLE trading_position ENABLE ALWAYS TRIGGER position_is_its_fills;
DROP FUNCTION trading_fill_total() CASCADE;
DROP FUNCTION trading_sum_fills, trading_hold_position;
"""


class Migration(migrations.Migration):
    dependencies = [("trading", "0029_sums_by_day")]

    operations = [
        migrations.CreateModel(
            name="FillTotal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("book", models.CharField(max_length=20)),
                ("strategy", models.CharField(max_length=40)),
                ("fills", models.PositiveIntegerField()),
                ("quantity", magnetfund.core.fields.ExactField(help_text="Base currency.")),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="trading.instrument"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("book", "strategy", "instrument"), name="trading_filltotal_once"
                    )
                ],
            },
        ),
        migrations.RunSQL(WALL, BACK),
    ]
