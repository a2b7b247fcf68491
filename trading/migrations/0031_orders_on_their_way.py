"""Fills of one order wait for each other; steps of an instrument stay while an order is open."""

from django.db import migrations

WALL = r"""
-- A second fill of an order waits for the first: each would see the order without the other.
CREATE OR REPLACE FUNCTION trading_fill_guard() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE o record;
BEGIN
  SELECT * INTO o FROM trading_order x WHERE x.id = new.order_id
    FOR NO KEY UPDATE;
  IF o.claimed_at IS NULL THEN
    RAISE EXCEPTION 'fill: an order in state % was not claimed for sending', o.state;
  END IF;
  IF new.book <> o.book OR new.instrument_id <> o.instrument_id OR new.side <> o.side
     OR new.strategy <> o.strategy THEN
    RAISE EXCEPTION 'fill: it is not of this order';
  END IF;
  IF new.quantity + (SELECT coalesce(sum(f.quantity), 0) FROM trading_fill f
       WHERE f.order_id = new.order_id) > o.quantity THEN
    RAISE EXCEPTION 'fill: more than the order';
  END IF;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION trading_instrument_terms() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  -- Stored quantities and prices are whole steps of the old ones, and so is what an order that is
  -- on its way will fill.
  IF (new.tick, new.lot) IS DISTINCT FROM (old.tick, old.lot) THEN
    -- Each new order share-locks its instrument's key, so one that has yet to commit is waited for.
    PERFORM 1 FROM public.trading_instrument i WHERE i.id = old.id FOR UPDATE;
    IF EXISTS (SELECT 1 FROM public.trading_position p
        WHERE p.instrument_id = old.id AND p.quantity <> 0) THEN
      RAISE EXCEPTION 'instrument: tick and lot of % are fixed while a position is open',
        old.symbol USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM public.trading_order o
        WHERE o.instrument_id = old.id AND o.closed_at IS NULL) THEN
      RAISE EXCEPTION 'instrument: tick and lot of % are fixed while an order is open',
        old.symbol USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  IF (new.maker_fee < old.maker_fee OR new.taker_fee < old.taker_fee
      OR public.trading_looser_tiers(old.maintenance_tiers, new.maintenance_tiers))
     AND NOT pg_has_role(current_user, 'fa_gateway', 'USAGE') AND NOT EXISTS (
       SELECT 1 FROM public.risk_wallinstance i WHERE i.kind IN ('test', 'scratch')) THEN
    RAISE EXCEPTION 'instrument: lower fees or maintenance of % are taken over by '
      'manage.py refresh_instruments alone',
      old.symbol USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN new;
END $$;
"""
BACK = r"""
CREATE OR REPLACE FUNCTION trading_fill_guard() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE o record;
BEGIN
  SELECT * INTO o FROM trading_order x WHERE x.id = new.order_id;
  IF o.claimed_at IS NULL THEN
    RAISE EXCEPTION 'fill: an order in state % was not claimed for sending', o.state;
  END IF;
  IF new.book <> o.book OR new.instrument_id <> o.instrument_id OR new.side <> o.side
     OR new.strategy <> o.strategy THEN
    RAISE EXCEPTION 'fill: it is not of this order';
  END IF;
  IF new.quantity + (SELECT coalesce(sum(f.quantity), 0) FROM trading_fill f
       WHERE f.order_id = new.order_id) > o.quantity THEN
    RAISE EXCEPTION 'fill: more than the order';
  END IF;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION trading_instrument_terms() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  -- Stored quantities and prices of a position are whole steps of the old ones.
  IF (new.tick, new.lot) IS DISTINCT FROM (old.tick, old.lot) AND EXISTS (
      SELECT 1 FROM public.trading_position p
      WHERE p.instrument_id = old.id AND p.quantity <> 0) THEN
    RAISE EXCEPTION 'instrument: tick and lot of % are fixed while a position is open', old.symbol
      USING ERRCODE = 'check_violation';
  END IF;
  IF (new.maker_fee < old.maker_fee OR new.taker_fee < old.taker_fee
      OR public.trading_looser_tiers(old.maintenance_tiers, new.maintenance_tiers))
     AND NOT pg_has_role(current_user, 'fa_gateway', 'USAGE') AND NOT EXISTS (
       SELECT 1 FROM public.risk_wallinstance i WHERE i.kind IN ('test', 'scratch')) THEN
    RAISE EXCEPTION 'instrument: lower fees or maintenance of % are taken over by '
      'manage.py refresh_instruments alone',
      old.symbol USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN new;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("trading", "0030_total_of_fills")]
    operations = [migrations.RunSQL(WALL, BACK)]
