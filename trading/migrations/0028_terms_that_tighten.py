"""A job takes over terms that cost more, the trader alone looser ones; held, steps stay."""

from django.db import migrations

WALL = r"""
-- Whether tiers ask less than others at some size; tiers that are no tiers count as looser.
CREATE FUNCTION trading_looser_tiers(p_old jsonb, p_new jsonb) RETURNS boolean
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  WITH tiers AS (
    SELECT side, high, rate, coalesce(lag(high) OVER (PARTITION BY side ORDER BY place), 0) AS low
      FROM (SELECT 'old' AS side, t.place, (t.tier ->> 0)::numeric AS high,
          (t.tier ->> 1)::numeric AS rate
          FROM jsonb_array_elements(p_old) WITH ORDINALITY t (tier, place)
        UNION ALL SELECT 'new', t.place, (t.tier ->> 0)::numeric, (t.tier ->> 1)::numeric
          FROM jsonb_array_elements(p_new) WITH ORDINALITY t (tier, place)) read
  )
  SELECT coalesce((SELECT max(high) FROM tiers WHERE side = 'new')
      < (SELECT max(high) FROM tiers WHERE side = 'old'), p_old <> '[]')
    OR EXISTS (SELECT 1 FROM tiers WHERE side = 'new'
      AND NOT coalesce(high > low AND high <= 'Infinity' AND rate >= 0 AND rate <= 1, false))
    OR EXISTS (SELECT 1 FROM tiers o JOIN tiers n ON o.side = 'old' AND n.side = 'new'
      AND greatest(o.low, n.low) < least(o.high, n.high) WHERE n.rate < o.rate)
$$;

CREATE FUNCTION trading_instrument_terms() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  -- Stored quantities and prices of a position are whole steps of the old ones.
  IF (new.tick, new.lot) IS DISTINCT FROM (old.tick, old.lot) AND EXISTS (
      SELECT 1 FROM public.trading_position p WHERE p.instrument_id = old.id AND p.quantity <> 0) THEN
    RAISE EXCEPTION 'instrument: tick and lot of % are fixed while a position is open', old.symbol
      USING ERRCODE = 'check_violation';
  END IF;
  IF (new.maker_fee < old.maker_fee OR new.taker_fee < old.taker_fee
      OR public.trading_looser_tiers(old.maintenance_tiers, new.maintenance_tiers))
     AND NOT pg_has_role(current_user, 'fa_gateway', 'USAGE') AND NOT EXISTS (
       SELECT 1 FROM public.risk_wallinstance i WHERE i.kind IN ('test', 'scratch')) THEN
    RAISE EXCEPTION 'instrument: lower fees or maintenance of % are taken over by manage.py refresh_instruments alone',
      old.symbol USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER instrument_terms BEFORE UPDATE ON trading_instrument
  FOR EACH ROW WHEN ((old.tick, old.lot, old.maker_fee, old.taker_fee, old.maintenance_tiers)
    IS DISTINCT FROM (new.tick, new.lot, new.maker_fee, new.taker_fee, new.maintenance_tiers))
  EXECUTE FUNCTION trading_instrument_terms();
ALTER TABLE trading_instrument ENABLE ALWAYS TRIGGER instrument_terms;
REVOKE ALL ON FUNCTION trading_looser_tiers, trading_instrument_terms FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trading_looser_tiers TO fa_app, fa_gateway;
"""
BACK = """
DROP FUNCTION trading_instrument_terms() CASCADE;
DROP FUNCTION trading_looser_tiers;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0027_valued_by_the_trader"),
    ]
    operations = [migrations.RunSQL(WALL, BACK)]
