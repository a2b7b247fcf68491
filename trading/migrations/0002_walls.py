"""The order gate: no exposure is added while the fuse or the engine says no; and the grants."""

from django.db import migrations

# Locks first, reads after: under READ COMMITTED each statement of a VOLATILE function sees what was
# committed before it began, so a trip that holds the exclusive lock is seen by every later order.
GATE = """
CREATE FUNCTION trading_fuse_gate() RETURNS trigger LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  held numeric; closing numeric; signed numeric; fuse text; local_fuse text; engine text; c record;
  symbol text;
BEGIN
  IF tg_op = 'UPDATE' AND new.state NOT IN ('INTENT', 'SENDING') THEN
    new.reduces := old.reduces;
    RETURN new;  -- an outcome can always be recorded
  END IF;
  IF tg_op = 'INSERT' AND new.state = 'DENIED' THEN
    new.reduces := false;
    RETURN new;  -- kept as a record, never sent
  END IF;
  IF tg_op = 'INSERT' AND new.state <> 'INTENT' THEN
    RAISE EXCEPTION 'order gate: an order starts as INTENT';
  END IF;
  IF tg_op = 'UPDATE' AND NOT (old.state = 'INTENT' AND new.state = 'SENDING') THEN
    RAISE EXCEPTION 'order gate: % to % is refused', old.state, new.state;
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'order gate: the isolation level must be read committed';
  END IF;
  PERFORM pg_advisory_xact_lock_shared(7001, hashtext(new.book));
  PERFORM pg_advisory_xact_lock(7003,
    hashtext(new.book || '/' || new.instrument_id || '/' || new.strategy));
  SELECT coalesce(sum(p.quantity), 0) INTO held FROM trading_position p
    WHERE p.book = new.book AND p.instrument_id = new.instrument_id
      AND p.strategy = new.strategy;
  signed := CASE new.side WHEN 'buy' THEN new.quantity ELSE -new.quantity END;
  IF held <> 0 AND sign(held) = -sign(signed) THEN
    -- A resting stop or target is reduce-only at the venue and cannot flip the position, so only
    -- closing orders that will certainly execute count against what is left to close.
    SELECT coalesce(sum(o.quantity - o.filled_quantity), 0) INTO closing FROM trading_order o
      WHERE o.book = new.book AND o.instrument_id = new.instrument_id
        AND o.strategy = new.strategy AND o.id <> new.id AND o.reduces AND o.closed_at IS NULL
        AND o.side = new.side AND o.purpose NOT IN ('stop', 'target');
    IF new.purpose IN ('stop', 'target') THEN closing := 0; END IF;
    new.reduces := new.quantity <= abs(held) - closing;
  ELSE
    new.reduces := false;
  END IF;
  IF new.reduces THEN
    RETURN new;
  END IF;
  IF new.purpose NOT IN ('entry', 'manual') THEN
    RAISE EXCEPTION 'order gate: a % order must reduce a position', new.purpose
      USING ERRCODE = 'check_violation';
  END IF;
  SELECT t.state INTO fuse FROM risk_fusetransition t
    WHERE t.book = new.book AND t.scope = 'fund' ORDER BY t.id DESC LIMIT 1;
  IF fuse IS DISTINCT FROM 'ARMED' THEN
    RAISE EXCEPTION 'order gate: the fuse is %', coalesce(fuse, 'missing')
      USING ERRCODE = 'check_violation';
  END IF;
  SELECT i.symbol INTO symbol FROM trading_instrument i WHERE i.id = new.instrument_id;
  SELECT t.state INTO local_fuse FROM risk_fusetransition t
    WHERE t.book = new.book AND t.scope = symbol ORDER BY t.id DESC LIMIT 1;
  IF coalesce(local_fuse, 'ARMED') <> 'ARMED' THEN
    RAISE EXCEPTION 'order gate: the fuse of % is %', symbol, local_fuse
      USING ERRCODE = 'check_violation';
  END IF;
  SELECT t.state INTO engine FROM trading_enginetransition t
    WHERE t.book = new.book ORDER BY t.id DESC LIMIT 1;
  IF engine IS DISTINCT FROM 'READY' THEN
    RAISE EXCEPTION 'order gate: the engine is %', coalesce(engine, 'missing')
      USING ERRCODE = 'check_violation';
  END IF;
  SELECT k.accepted, k.book, k.instrument, k.side, k.quantity, k.order_id INTO c
    FROM risk_pretradecheck k WHERE k.id = new.pretrade_check;
  IF c.accepted IS DISTINCT FROM true OR c.order_id <> new.id OR c.book <> new.book
     OR c.instrument <> symbol OR c.side <> new.side OR c.quantity < new.quantity THEN
    RAISE EXCEPTION 'order gate: no accepted pre-trade check for this order'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER fuse_gate BEFORE INSERT OR UPDATE ON trading_order
  FOR EACH ROW EXECUTE FUNCTION trading_fuse_gate();
ALTER TABLE trading_order ENABLE ALWAYS TRIGGER fuse_gate;
"""

# Engine states are ordered like fuse states: the id is taken under the lock.
ENGINE = """
CREATE FUNCTION trading_engine_order() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(7005, hashtext(new.book));
  new.id := nextval(pg_get_serial_sequence('public.trading_enginetransition', 'id'));
  new.recorded_at := clock_timestamp();
  IF new.state = 'READY' AND NOT EXISTS (SELECT 1 FROM trading_reconciliation r
       WHERE r.id = new.reconciliation_id AND r.book = new.book AND r.is_clean) THEN
    RAISE EXCEPTION 'engine: READY takes a clean reconciliation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER engine_order BEFORE INSERT ON trading_enginetransition
  FOR EACH ROW EXECUTE FUNCTION trading_engine_order();
ALTER TABLE trading_enginetransition ENABLE ALWAYS TRIGGER engine_order;
"""

# Array reads go by (instrument, timeframe, open_time); the newest first for pages.
INDEXES = """
CREATE INDEX trading_position_open ON trading_position (book) WHERE quantity <> 0;
"""

APPEND_ONLY = """
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY[
    'trading_candle', 'trading_marketrefusal', 'trading_fundingrate', 'trading_signal',
    'trading_proposal', 'trading_orderevent', 'trading_fill', 'trading_fundingpayment',
    'trading_trade', 'trading_reconciliation', 'trading_enginetransition',
    'trading_valuation', 'trading_bookflow'
  ] LOOP
    EXECUTE format('CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON %I
      FOR EACH ROW EXECUTE FUNCTION wall_append_only()', t);
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I
      FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only()', t);
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only_row,
      ENABLE ALWAYS TRIGGER append_only_truncate', t);
  END LOOP;
END $$;
"""

APPEND_ONLY_BACK = """
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY[
    'trading_candle', 'trading_marketrefusal', 'trading_fundingrate', 'trading_signal',
    'trading_proposal', 'trading_orderevent', 'trading_fill', 'trading_fundingpayment',
    'trading_trade', 'trading_reconciliation', 'trading_enginetransition',
    'trading_valuation', 'trading_bookflow'
  ] LOOP
    EXECUTE format('DROP TRIGGER append_only_row ON %I', t);
    EXECUTE format('DROP TRIGGER append_only_truncate ON %I', t);
  END LOOP;
END $$;
"""

# What the run-time roles may do with each table, as it was when the tables were made.
GRANTS = """
REVOKE ALL ON
  trading_candle, trading_marketrefusal, trading_fundingrate, trading_signal,
  trading_proposal, trading_orderevent, trading_reconciliation, trading_enginetransition,
  trading_valuation, trading_bookflow, trading_order, trading_position,
  trading_papervenuestate, trading_fill, trading_fundingpayment, trading_trade,
  trading_instrument, trading_candlegap, trading_magnet, trading_strategy,
  trading_tradingsession, trading_replayrun
  FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON
  trading_candle, trading_marketrefusal, trading_fundingrate, trading_signal,
  trading_proposal, trading_orderevent, trading_reconciliation, trading_enginetransition,
  trading_valuation, trading_bookflow, trading_order, trading_position,
  trading_papervenuestate, trading_fill, trading_fundingpayment, trading_trade,
  trading_instrument, trading_candlegap, trading_magnet, trading_strategy,
  trading_tradingsession, trading_replayrun
  TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON
  trading_candle, trading_marketrefusal, trading_fundingrate, trading_signal,
  trading_proposal, trading_orderevent, trading_reconciliation, trading_enginetransition,
  trading_valuation, trading_bookflow, trading_order, trading_instrument, trading_candlegap,
  trading_magnet, trading_strategy, trading_tradingsession, trading_replayrun
  TO fa_app, fa_gateway;
GRANT INSERT ON
  trading_position, trading_papervenuestate, trading_fill, trading_fundingpayment,
  trading_trade
  TO fa_gateway;
GRANT UPDATE (
  state, venue_order_id, filled_quantity, average_price, denial_codes, closed_at
) ON trading_order TO fa_gateway;
GRANT UPDATE ON trading_position TO fa_gateway;
GRANT UPDATE ON trading_papervenuestate TO fa_gateway;
GRANT UPDATE (
  minimum_notional, maker_fee, taker_fee, maintenance_tiers, gap_floor, source_label,
  is_restricted, is_active
) ON trading_instrument TO fa_app, fa_gateway;
GRANT UPDATE (refilled_at, reason, "end") ON trading_candlegap TO fa_app, fa_gateway;
GRANT UPDATE (dead_at, detail) ON trading_magnet TO fa_app, fa_gateway;
GRANT UPDATE (is_active) ON trading_strategy TO fa_app, fa_gateway;
GRANT UPDATE (ended_at, summary) ON trading_tradingsession TO fa_app, fa_gateway;
GRANT UPDATE (result, finished_at) ON trading_replayrun TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [("trading", "0001_initial"), ("risk", "0002_walls")]
    operations = [
        migrations.RunSQL(GATE, "DROP FUNCTION trading_fuse_gate() CASCADE;"),
        migrations.RunSQL(ENGINE, "DROP FUNCTION trading_engine_order() CASCADE;"),
        migrations.RunSQL(INDEXES, "DROP INDEX trading_position_open;"),
        migrations.RunSQL(APPEND_ONLY, APPEND_ONLY_BACK),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
