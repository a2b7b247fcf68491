"""Facts that the gates rest on are written by the role that makes them, and move one way.

Reconciliations, the trader's lease and READY are the trader's; an order moves only along its states
and is filled only forwards; a fill needs an order that was claimed for sending and never exceeds it.
"""

from django.db import migrations, models

MOVES = """
-- One update stores all events of one answer; a claim stands alone.  Only what the venue had comes
-- back from an end.
CREATE FUNCTION trading_order_moves() RETURNS TABLE (from_state text, to_states text[])
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  VALUES
    ('ABSENT', '{ACKED,CANCELLED,CANCEL_PENDING,EXPIRED,FILLED,PARTIALLY_FILLED,REJECTED}'::text[]),
    ('ACKED', '{CANCELLED,CANCEL_PENDING,EXPIRED,FILLED,PARTIALLY_FILLED,REJECTED}'),
    ('CANCELLED', '{FILLED}'),
    ('CANCEL_PENDING', '{ACKED,CANCELLED,EXPIRED,FILLED,PARTIALLY_FILLED,REJECTED}'),
    ('EXPIRED', '{FILLED}'),
    ('INTENT', '{CANCELLED,DENIED,EXPIRED,SENDING}'),
    ('PARTIALLY_FILLED', '{ACKED,CANCELLED,CANCEL_PENDING,EXPIRED,FILLED,REJECTED}'),
    ('REJECTED', '{ACKED,CANCELLED,CANCEL_PENDING,EXPIRED,FILLED,PARTIALLY_FILLED}'),
    ('SENDING', '{ABSENT,ACKED,CANCELLED,CANCEL_PENDING,EXPIRED,FILLED,PARTIALLY_FILLED,REJECTED,UNKNOWN}'),
    ('UNKNOWN', '{ABSENT,ACKED,CANCELLED,CANCEL_PENDING,EXPIRED,FILLED,PARTIALLY_FILLED,REJECTED}')
$$;
"""

BACKFILL = """
UPDATE trading_order o SET claimed_at = e.at FROM (
  SELECT order_id, min(occurred_at) AS at FROM trading_orderevent WHERE to_state = 'SENDING'
  GROUP BY order_id) e WHERE e.order_id = o.id;
"""

GATE = """
CREATE OR REPLACE FUNCTION trading_fuse_gate() RETURNS trigger LANGUAGE plpgsql VOLATILE
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  held numeric; closing numeric; signed numeric; fuse text; local_fuse text; engine text; c record;
  symbol text;
BEGIN
  IF tg_op = 'UPDATE' THEN
    IF new.filled_quantity < old.filled_quantity OR new.filled_quantity > new.quantity THEN
      RAISE EXCEPTION 'order gate: an order is never filled backwards or beyond its quantity';
    END IF;
    IF new.state <> old.state AND NOT EXISTS (SELECT 1 FROM trading_order_moves() m
         WHERE m.from_state = old.state AND new.state = ANY (m.to_states)) THEN
      RAISE EXCEPTION 'order gate: % to % is refused', old.state, new.state;
    END IF;
    IF NOT (old.state = 'INTENT' AND new.state = 'SENDING') THEN
      IF old.claimed_at IS NULL AND (new.filled_quantity > 0 OR new.state NOT IN
           ('INTENT', 'CANCELLED', 'DENIED', 'EXPIRED')) THEN
        RAISE EXCEPTION 'order gate: an order that was not claimed for sending is %', new.state;
      END IF;
      new.reduces := old.reduces;
      new.claimed_at := old.claimed_at;
      RETURN new;  -- an outcome can always be recorded
    END IF;
  END IF;
  new.claimed_at := CASE WHEN tg_op = 'UPDATE' THEN clock_timestamp() END;
  IF tg_op = 'INSERT' AND new.state = 'DENIED' THEN
    new.reduces := false;
    RETURN new;  -- kept as a record, never sent
  END IF;
  IF tg_op = 'INSERT' AND new.state <> 'INTENT' THEN
    RAISE EXCEPTION 'order gate: an order starts as INTENT';
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'order gate: the isolation level must be read committed';
  END IF;
  -- Two closing orders of one sleeve are counted one after the other.
  PERFORM 1 FROM trading_position p WHERE p.book = new.book
    AND p.instrument_id = new.instrument_id AND p.strategy = new.strategy FOR UPDATE;
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
  -- Read before the latch, so that orders that will be refused never keep a stop waiting; and
  -- after it, so that a stop whose barrier has passed is seen.
  FOR pass IN 1..2 LOOP
    fuse := risk_fuse_state(new.book, 'fund');
    IF fuse <> 'ARMED' THEN
      RAISE EXCEPTION 'order gate: the fuse is %', fuse USING ERRCODE = 'check_violation';
    END IF;
    IF pass = 1 THEN
      PERFORM 1 FROM risk_fuselatch l WHERE l.book = new.book FOR SHARE;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'order gate: the book was never armed' USING ERRCODE = 'check_violation';
      END IF;
    END IF;
  END LOOP;
  SELECT i.symbol INTO symbol FROM trading_instrument i WHERE i.id = new.instrument_id;
  local_fuse := risk_fuse_state(new.book, symbol);
  IF local_fuse <> 'ARMED' THEN
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
"""

FILL = """
CREATE FUNCTION trading_fill_guard() RETURNS trigger LANGUAGE plpgsql
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
CREATE TRIGGER fill_guard BEFORE INSERT ON trading_fill
  FOR EACH ROW EXECUTE FUNCTION trading_fill_guard();
ALTER TABLE trading_fill ENABLE ALWAYS TRIGGER fill_guard;
"""

FACTS = """
CREATE FUNCTION trading_reconciliation_time() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  new.occurred_at := wall_time(new.book, new.occurred_at);
  RETURN new;
END $$;
CREATE TRIGGER reconciliation_time BEFORE INSERT ON trading_reconciliation
  FOR EACH ROW EXECUTE FUNCTION trading_reconciliation_time();
ALTER TABLE trading_reconciliation ENABLE ALWAYS TRIGGER reconciliation_time;

CREATE OR REPLACE FUNCTION trading_engine_order() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  new.recorded_at := clock_timestamp();
  IF new.state = 'READY' THEN
    IF session_user = 'fa_app' THEN
      RAISE EXCEPTION 'engine: READY is said by the trader';
    END IF;
    PERFORM 1 FROM risk_fuselatch l WHERE l.book = new.book FOR UPDATE;
    IF NOT EXISTS (SELECT 1 FROM trading_reconciliation r
         WHERE r.id = new.reconciliation_id AND r.book = new.book AND r.is_clean) THEN
      RAISE EXCEPTION 'engine: READY takes a clean reconciliation';
    END IF;
  END IF;
  new.id := nextval('public.trading_enginetransition_id_seq');
  RETURN new;
END $$;

REVOKE INSERT ON trading_reconciliation FROM fa_app;
REVOKE INSERT, UPDATE ON core_lease FROM fa_app;

CREATE FUNCTION core_no_superuser() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF new.is_superuser AND session_user IN ('fa_app', 'fa_gateway') THEN
    RAISE EXCEPTION 'accounts: no part of the platform makes a superuser';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER no_superuser BEFORE INSERT OR UPDATE ON core_user
  FOR EACH ROW EXECUTE FUNCTION core_no_superuser();
ALTER TABLE core_user ENABLE ALWAYS TRIGGER no_superuser;
"""

NOOP = migrations.RunSQL.noop


class Migration(migrations.Migration):
    dependencies = [("trading", "0010_sleeve_proposals"), ("risk", "0004_wall_clock")]
    operations = [
        migrations.AddField(
            model_name="order",
            name="claimed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RunSQL(BACKFILL, NOOP),
        migrations.RunSQL(MOVES, NOOP),
        migrations.RunSQL(GATE, NOOP),
        migrations.RunSQL(FILL, NOOP),
        migrations.RunSQL(FACTS, NOOP),
    ]
