"""The order gate and the arming guard ask for the state of the fuse where it is said.

Orders that add exposure share-lock the book's latch, a row that no run-time role can lock by itself;
closing orders wait for their own position alone.  No advisory lock is left on either way.
"""

from django.db import migrations

GATE = """
CREATE OR REPLACE FUNCTION trading_fuse_gate() RETURNS trigger LANGUAGE plpgsql VOLATILE
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
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

ARMING = """
CREATE OR REPLACE FUNCTION trading_arming_guard() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE x record; clean_at timestamptz; stopped_at timestamptz;
BEGIN
  IF new.state <> 'ARMED' OR new.scope <> 'fund' THEN
    RETURN new;
  END IF;
  SELECT * INTO x FROM risk_fusereset WHERE id = new.reset_id;
  SELECT max(e.occurred_at) INTO stopped_at FROM risk_fuseevent e WHERE e.id = ANY (x.stops);
  SELECT r.occurred_at INTO clean_at FROM trading_reconciliation r
    WHERE r.id::text = x.reconciliation AND r.book = new.book AND r.is_clean;
  IF clean_at IS NULL OR clean_at > new.occurred_at OR clean_at < stopped_at OR EXISTS (
       SELECT 1 FROM trading_reconciliation r WHERE r.book = new.book AND NOT r.is_clean
         AND r.occurred_at > clean_at AND r.occurred_at <= new.occurred_at) THEN
    RAISE EXCEPTION 'fuse: arming takes a clean reconciliation since the fund stopped';
  END IF;
  IF EXISTS (SELECT 1 FROM risk_fuseevent e WHERE e.id = ANY (x.stops)
         AND e.trigger = 'drawdown')
     AND EXISTS (SELECT 1 FROM risk_fusereset o WHERE o.book = new.book AND o.id <> x.id
       AND o.trigger = 'drawdown' AND o.approved_at > new.occurred_at - interval '30 days')
     AND NOT EXISTS (SELECT 1 FROM core_user d
       JOIN core_rolegrant g ON g.user_id = d.id AND g.role = 'director' AND g.revoked_at IS NULL
       WHERE d.id = x.director_id AND d.person NOT IN (
         SELECT p.person FROM core_user p WHERE p.id IN (x.proposed_by_id, x.approved_by_id))) THEN
    RAISE EXCEPTION 'fuse: a second drawdown reset within 30 days takes a fund director';
  END IF;
  RETURN new;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("trading", "0005_market_events"), ("risk", "0003_stop_without_waiting")]
    operations = [
        migrations.RunSQL(GATE, migrations.RunSQL.noop),
        migrations.RunSQL(ARMING, migrations.RunSQL.noop),
    ]
