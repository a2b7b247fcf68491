"""A position is what its fills add up to, when the transaction that moves either ends."""

from django.db import migrations, models

WALL = """
CREATE FUNCTION trading_position_guard() RETURNS trigger LANGUAGE plpgsql
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
CREATE CONSTRAINT TRIGGER position_is_its_fills AFTER INSERT OR UPDATE ON trading_position
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trading_position_guard();
CREATE CONSTRAINT TRIGGER position_is_its_fills AFTER INSERT ON trading_fill
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trading_position_guard();
ALTER TABLE trading_position ENABLE ALWAYS TRIGGER position_is_its_fills;
ALTER TABLE trading_fill ENABLE ALWAYS TRIGGER position_is_its_fills;
"""


class Migration(migrations.Migration):
    dependencies = [("trading", "0015_strategy_performance")]
    operations = [
        migrations.AddIndex(
            model_name="fill",
            index=models.Index(
                fields=["book", "instrument", "strategy"], name="trading_fill_of_position"
            ),
        ),
        migrations.RunSQL(WALL, migrations.RunSQL.noop),
    ]
