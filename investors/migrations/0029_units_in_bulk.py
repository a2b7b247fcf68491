"""Movements of units are chained and checked at one speed, however many a strike writes.

The trigger read the last row of the chain by a plan that was made when the table was small, and
the lot twice.  It reads both once, by their indexes; what it hashes is the same.  The triggers of
whole statements plan for the rows they are given.  The recorded time of a movement is the
database's, as that of a ledger entry is.
"""

from django.db import migrations

CHAIN = r"""
CREATE FUNCTION investors_unit_hash(
    u investors_unitentry, p_lot bigint, p_class text, p_holder uuid) RETURNS bytea
  LANGUAGE sql STABLE AS $$
  SELECT sha256(u.prev_hash || convert_to(jsonb_build_array(
    u.fund_id, u.seq, u.id, u.lot_id, p_lot, p_class, p_holder, u.kind,
    trim_scale(u.units)::text, trim_scale(u.price)::text, trim_scale(u.high_water_mark)::text,
    to_char(u.hurdle_start, 'YYYY-MM-DD'), u.strike_id, u.order_id, u.entry_id,
    to_char(u.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    to_char(u.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')
  )::text, 'UTF8'))
$$;
REVOKE ALL ON FUNCTION investors_unit_hash FROM PUBLIC;
GRANT EXECUTE ON FUNCTION investors_unit_hash TO fa_app, fa_gateway, fa_auditor;

CREATE OR REPLACE FUNCTION investors_unit_digest(u investors_unitentry) RETURNS bytea
  LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT investors_unit_hash(u, l.number, c.code, h.investor_id)
  FROM investors_unitlot l JOIN investors_shareclass c ON c.id = l.share_class_id
  JOIN investors_holding h ON h.id = l.holding_id WHERE l.id = u.lot_id
$$;

CREATE OR REPLACE FUNCTION investors_unit_chain() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
  SET enable_mergejoin = off AS $$
DECLARE last record; lot record;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'units: the isolation level must be read committed';
  END IF;
  SELECT c.fund_id, l.number, c.code, h.investor_id INTO STRICT lot FROM investors_unitlot l
    JOIN investors_shareclass c ON c.id = l.share_class_id
    JOIN investors_holding h ON h.id = l.holding_id WHERE l.id = new.lot_id;
  PERFORM pg_advisory_xact_lock(7002, hashtext('ledger:' || lot.fund_id));
  SELECT u.seq, u.row_hash INTO last FROM investors_unitentry u
    WHERE u.fund_id = lot.fund_id ORDER BY u.seq DESC LIMIT 1;
  new.fund_id := lot.fund_id;
  new.recorded_at := clock_timestamp();
  new.seq := coalesce(last.seq, 0) + 1;
  new.prev_hash := coalesce(last.row_hash, '\x'::bytea);
  new.row_hash := investors_unit_hash(new, lot.number, lot.code, lot.investor_id);
  RETURN new;
END $$;

ALTER FUNCTION investors_ledger_chain() SET enable_seqscan = off;
ALTER FUNCTION investors_ledger_chain() SET enable_bitmapscan = off;
ALTER FUNCTION investors_units_dealt() SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION investors_unit_entry_apply() SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION investors_ledger_open_entry() SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION investors_of_prepared() SET plan_cache_mode = force_custom_plan;
"""

CHAIN_BEFORE = r"""
ALTER FUNCTION investors_ledger_chain() RESET enable_seqscan;
ALTER FUNCTION investors_ledger_chain() RESET enable_bitmapscan;
ALTER FUNCTION investors_units_dealt() RESET plan_cache_mode;
ALTER FUNCTION investors_unit_entry_apply() RESET plan_cache_mode;
ALTER FUNCTION investors_ledger_open_entry() RESET plan_cache_mode;
ALTER FUNCTION investors_of_prepared() RESET plan_cache_mode;

CREATE OR REPLACE FUNCTION investors_unit_digest(u investors_unitentry) RETURNS bytea
  LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT sha256(u.prev_hash || convert_to(jsonb_build_array(
    u.fund_id, u.seq, u.id, u.lot_id, l.number, c.code, h.investor_id, u.kind,
    trim_scale(u.units)::text, trim_scale(u.price)::text, trim_scale(u.high_water_mark)::text,
    to_char(u.hurdle_start, 'YYYY-MM-DD'), u.strike_id, u.order_id, u.entry_id,
    to_char(u.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    to_char(u.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')
  )::text, 'UTF8'))
  FROM investors_unitlot l JOIN investors_shareclass c ON c.id = l.share_class_id
  JOIN investors_holding h ON h.id = l.holding_id WHERE l.id = u.lot_id
$$;

CREATE OR REPLACE FUNCTION investors_unit_chain() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE last record;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'units: the isolation level must be read committed';
  END IF;
  SELECT c.fund_id INTO STRICT new.fund_id FROM investors_unitlot l
    JOIN investors_shareclass c ON c.id = l.share_class_id WHERE l.id = new.lot_id;
  PERFORM pg_advisory_xact_lock(7002, hashtext('ledger:' || new.fund_id));
  SELECT u.seq, u.row_hash INTO last FROM investors_unitentry u
    WHERE u.fund_id = new.fund_id ORDER BY u.seq DESC LIMIT 1;
  new.seq := coalesce(last.seq, 0) + 1;
  new.prev_hash := coalesce(last.row_hash, '\x'::bytea);
  new.row_hash := investors_unit_digest(new);
  RETURN new;
END $$;
DROP FUNCTION investors_unit_hash;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0028_orders_due_once")]

    operations = [migrations.RunSQL(CHAIN, CHAIN_BEFORE)]
