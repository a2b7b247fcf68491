"""What the trader says of its orders and of a comparison is held against the rows that it rests on.

A comparison is clean where position, fills and the paper venue's side agree; READY takes one of
now, made after the engine stopped.  An order ends as its events say, and not before its venue ends
it; an execution is one of the paper venue, and that takes what was claimed for sending.
"""

from django.db import migrations

SHARED = r"""
-- Whether a story is told of a book: its rows come day by day, the venue's side behind them.
CREATE FUNCTION trading_is_told(p_book text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM risk_scenarioclock c WHERE c.book = p_book AND c.closed_at IS NULL)
$$;
REVOKE ALL ON FUNCTION trading_is_told FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trading_is_told TO fa_app, fa_gateway;
"""

COMPARED = r"""
-- How the rows of a book differ from each other; null where they do not.
CREATE FUNCTION trading_books_fault(p_book text) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM (SELECT * FROM trading_position p WHERE p.book = p_book) p
      FULL JOIN (SELECT * FROM trading_filltotal t WHERE t.book = p_book) t
        ON t.instrument_id = p.instrument_id AND t.strategy = p.strategy
      WHERE coalesce(p.quantity, 0) <> coalesce(t.quantity, 0)) THEN
    RETURN 'a position is not the sum of its fills';
  END IF;
  IF trading_is_told(p_book)
     OR NOT EXISTS (SELECT 1 FROM trading_papervenuestate s WHERE s.book = p_book) THEN
    RETURN NULL;
  END IF;
  IF EXISTS (SELECT 1 FROM (SELECT p.strategy || '|' || p.instrument_id AS account, p.quantity
        FROM trading_position p WHERE p.book = p_book AND p.quantity <> 0) ours
      FULL JOIN (SELECT a.key AS account,
          (a.value ->> 'side')::numeric * (a.value ->> 'lots')::numeric * i.lot AS quantity
        FROM trading_papervenuestate s, jsonb_each(s.state -> 'accounts') a
        LEFT JOIN trading_instrument i
          ON i.id::text = regexp_replace(a.key, '^.*\|', '')
        WHERE s.book = p_book) theirs ON theirs.account = ours.account
      WHERE ours.quantity IS DISTINCT FROM theirs.quantity) THEN
    RETURN 'a position is not that of the paper venue';
  END IF;
  IF EXISTS (SELECT 1 FROM (SELECT o.client_order_id FROM trading_order o
        WHERE o.book = p_book AND o.closed_at IS NULL AND o.state <> 'INTENT') ours
      FULL JOIN (SELECT v.client_order_id FROM trading_paperorder v
        WHERE v.book = p_book AND v.closed_at IS NULL) theirs
        ON theirs.client_order_id = ours.client_order_id
      WHERE ours.client_order_id IS NULL OR theirs.client_order_id IS NULL) THEN
    RETURN 'an order rests on one side alone';
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION trading_reconciliation_time() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fault text;
BEGIN
  new.occurred_at := wall_time(new.book, new.occurred_at);
  new.recorded_at := clock_timestamp();
  IF new.is_clean THEN
    fault := CASE WHEN new.differences <> '[]' THEN 'it names differences'
      ELSE trading_books_fault(new.book) END;
    IF fault IS NOT NULL THEN
      RAISE EXCEPTION 'reconciliation: book % is not clean, %', new.book, fault
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION trading_engine_order() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE clean_at timestamptz;
BEGIN
  new.recorded_at := clock_timestamp();
  IF new.state = 'READY' THEN
    IF session_user = 'fa_app' THEN
      RAISE EXCEPTION 'engine: READY is said by the trader';
    END IF;
    PERFORM 1 FROM risk_fuselatch l WHERE l.book = new.book FOR UPDATE;
    SELECT r.recorded_at INTO clean_at FROM trading_reconciliation r
      WHERE r.id = new.reconciliation_id AND r.book = new.book AND r.is_clean;
    IF clean_at IS NULL THEN
      RAISE EXCEPTION 'engine: READY takes a clean reconciliation';
    END IF;
    IF clean_at < clock_timestamp() - interval '1 minute' OR EXISTS (
         SELECT 1 FROM trading_reconciliation r WHERE r.book = new.book AND NOT r.is_clean
           AND r.recorded_at > clean_at) THEN
      RAISE EXCEPTION 'engine: READY takes a clean reconciliation of now';
    END IF;
    IF (SELECT t.state <> 'READY' AND t.recorded_at >= clean_at FROM trading_enginetransition t
        WHERE t.book = new.book ORDER BY t.id DESC LIMIT 1) THEN
      RAISE EXCEPTION 'engine: it was stopped after this reconciliation'
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  new.id := nextval('public.trading_enginetransition_id_seq');
  RETURN new;
END $$;
"""

ORDERS = r"""
-- Events of an order follow each other.  Who asks for an order tells that it was asked for.
CREATE FUNCTION trading_order_event_guard() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE o record; last record;
BEGIN
  SELECT x.book, x.state, x.claimed_at INTO o FROM trading_order x WHERE x.id = new.order_id;
  IF trading_is_told(o.book) THEN
    RETURN new;
  END IF;
  IF new.kind <> 'intent' AND NOT pg_has_role(current_user, 'fa_gateway', 'USAGE') AND NOT EXISTS (
      SELECT 1 FROM risk_wallinstance i WHERE i.kind IN ('test', 'scratch')) THEN
    RAISE EXCEPTION 'order: what becomes of it is told by the trader'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT e.seq, e.to_state INTO last FROM trading_orderevent e
    WHERE e.order_id = new.order_id ORDER BY e.seq DESC LIMIT 1;
  -- One that nobody told of is ended all the same, so that it holds up no other.
  IF new.seq <> coalesce(last.seq, 0) + 1
     OR new.kind = 'intent' AND (last.seq IS NOT NULL OR new.from_state <> ''
       OR new.to_state <> CASE WHEN o.claimed_at IS NULL THEN o.state ELSE 'INTENT' END)
     OR new.kind <> 'intent' AND new.from_state <> coalesce(last.to_state, 'INTENT') THEN
    RAISE EXCEPTION 'order: event % does not follow what is told of it', new.kind
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER told_in_order BEFORE INSERT ON trading_orderevent
  FOR EACH ROW EXECUTE FUNCTION trading_order_event_guard();
ALTER TABLE trading_orderevent ENABLE ALWAYS TRIGGER told_in_order;

-- As the transaction ends that moved it: an order is where its events lead and filled as its fills
-- say.  What was sent ends by the word of its venue, and never while the paper venue has it open.
CREATE FUNCTION trading_order_told() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE o record; told record; venue record; executed numeric;
BEGIN
  IF trading_is_told(new.book) THEN
    RETURN NULL;
  END IF;
  SELECT * INTO o FROM trading_order x WHERE x.id = new.id;
  SELECT e.kind, e.to_state INTO told FROM trading_orderevent e
    WHERE e.order_id = o.id ORDER BY e.seq DESC LIMIT 1;
  IF told.to_state IS DISTINCT FROM o.state THEN
    RAISE EXCEPTION 'order: it is %, its events lead to %', o.state, told.to_state
      USING ERRCODE = 'check_violation';
  END IF;
  IF (o.closed_at IS NOT NULL) <> (o.state IN
       ('FILLED', 'CANCELLED', 'REJECTED', 'ABSENT', 'EXPIRED', 'DENIED')) THEN
    RAISE EXCEPTION 'order: % and closed at %', o.state, o.closed_at
      USING ERRCODE = 'check_violation';
  END IF;
  IF o.claimed_at IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT coalesce(sum(f.quantity), 0) INTO executed FROM trading_fill f WHERE f.order_id = o.id;
  IF executed <> o.filled_quantity OR o.state = 'FILLED' AND executed <> o.quantity THEN
    RAISE EXCEPTION 'order: % filled, its fills add up to %', o.filled_quantity, executed
      USING ERRCODE = 'check_violation';
  END IF;
  IF o.closed_at IS NULL THEN
    RETURN NULL;
  END IF;
  IF told.kind NOT IN ('fill', 'rejected', 'venue_reported', 'not_found') THEN
    RAISE EXCEPTION 'order: % by no word of its venue', o.state USING ERRCODE = 'check_violation';
  END IF;
  SELECT v.closed_at INTO venue FROM trading_paperorder v
    WHERE v.client_order_id = o.client_order_id;
  IF FOUND AND (venue.closed_at IS NULL OR o.state = 'ABSENT') THEN
    RAISE EXCEPTION 'order: % while its venue has it', o.state USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER order_told
  AFTER UPDATE OF state, filled_quantity, closed_at ON trading_order
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trading_order_told();
ALTER TABLE trading_order ENABLE ALWAYS TRIGGER order_told;
REVOKE ALL ON FUNCTION trading_books_fault, trading_order_event_guard, trading_order_told
  FROM PUBLIC;
"""

VENUE = r"""
-- The paper venue takes what was claimed for sending, as it was asked for.
CREATE FUNCTION trading_paper_order_guard() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT trading_is_told(new.book) AND NOT EXISTS (SELECT 1 FROM trading_order o
      WHERE o.client_order_id = new.client_order_id AND o.book = new.book
        AND o.instrument_id = new.instrument_id AND o.strategy = new.account
        AND o.side = new.side AND o.quantity = new.quantity AND o.claimed_at IS NOT NULL
        AND o.closed_at IS NULL) AND NOT EXISTS (
      SELECT 1 FROM risk_wallinstance i WHERE i.kind IN ('test', 'scratch')) THEN
    RAISE EXCEPTION 'paper venue: no order was claimed for this one'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER of_claimed BEFORE INSERT ON trading_paperorder
  FOR EACH ROW EXECUTE FUNCTION trading_paper_order_guard();
ALTER TABLE trading_paperorder ENABLE ALWAYS TRIGGER of_claimed;
REVOKE ALL ON FUNCTION trading_paper_order_guard FROM PUBLIC;

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
  IF NOT trading_is_told(new.book)
     AND EXISTS (SELECT 1 FROM trading_papervenuestate s WHERE s.book = new.book)
     AND NOT EXISTS (SELECT 1 FROM trading_paperevent v WHERE v.book = new.book
       AND v.number = (regexp_match(new.venue_trade_id, '-(\d{1,18})$'))[1]::bigint
       AND new.venue_trade_id = v.book || '-'
         || round(extract(epoch FROM v.occurred_at) * 1000)::bigint || '-' || v.number
       AND v.client_order_id IN ('', o.client_order_id) AND v.kind <> 'funding'
       AND v.instrument_id = new.instrument_id AND v.account = new.strategy
       AND (v.side, v.quantity, v.price, v.amount)
         = (new.side, new.quantity, new.price, new.fee)) THEN
    RAISE EXCEPTION 'fill: the paper venue executed nothing of the kind'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
"""

BACK = r"""
DROP FUNCTION trading_order_event_guard() CASCADE;
DROP FUNCTION trading_order_told() CASCADE;
DROP FUNCTION trading_paper_order_guard() CASCADE;

CREATE OR REPLACE FUNCTION trading_reconciliation_time() RETURNS trigger LANGUAGE plpgsql
  SECURITY INVOKER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  new.occurred_at := wall_time(new.book, new.occurred_at);
  RETURN new;
END $$;

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
DROP FUNCTION trading_books_fault, trading_is_told;
"""


class Migration(migrations.Migration):
    dependencies = [("trading", "0031_orders_on_their_way"), ("risk", "0012_times_of_stops")]
    operations = [migrations.RunSQL(SHARED + COMPARED + ORDERS + VENUE, BACK)]
