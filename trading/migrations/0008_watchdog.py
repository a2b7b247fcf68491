"""What the watchdog may ask and do: look, tell that it lives, stop the engine, end who is in the way.

A stop of the engine waits for no lock; READY takes the book's latch, as arming does.
"""

from django.db import migrations

ENGINE = """
CREATE OR REPLACE FUNCTION trading_engine_order() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  new.recorded_at := clock_timestamp();
  IF new.state = 'READY' THEN
    PERFORM 1 FROM risk_fuselatch l WHERE l.book = new.book FOR UPDATE;
    IF NOT EXISTS (SELECT 1 FROM trading_reconciliation r
         WHERE r.id = new.reconciliation_id AND r.book = new.book AND r.is_clean) THEN
      RAISE EXCEPTION 'engine: READY takes a clean reconciliation';
    END IF;
  END IF;
  new.id := nextval('public.trading_enginetransition_id_seq');
  RETURN new;
END $$;
"""

LOOK = """
CREATE FUNCTION watchdog_look(p_book text) RETURNS jsonb LANGUAGE sql STABLE
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT jsonb_build_object(
    'beat', (SELECT jsonb_build_object('seen_at', h.seen_at,
         'ahead_s', extract(epoch FROM h.seen_at - clock_timestamp()),
         'price_at', h.detail ->> 'price_at', 'equity', h.detail ->> 'equity')
       FROM core_heartbeat h WHERE h.part = 'trader' AND h.instance = p_book),
    'engine', (SELECT t.state FROM trading_enginetransition t WHERE t.book = p_book
       ORDER BY t.id DESC LIMIT 1),
    'fuse', risk_fuse_state(p_book, 'fund'),
    'open', (SELECT count(*) FROM trading_position p
       WHERE p.book = p_book AND p.quantity <> 0),
    'bare', (SELECT coalesce(jsonb_agg(i.symbol || ' ' || p.strategy ORDER BY p.id), '[]')
       FROM trading_position p JOIN trading_instrument i ON i.id = p.instrument_id
       WHERE p.book = p_book AND p.quantity <> 0 AND NOT EXISTS (
         SELECT 1 FROM trading_order o WHERE o.book = p.book AND o.purpose = 'stop'
           AND o.instrument_id = p.instrument_id AND o.strategy = p.strategy
           AND o.closed_at IS NULL)),
    'jobs', (SELECT coalesce(jsonb_object_agg(j.job, j.age), '{}') FROM (
       SELECT r.job, extract(epoch FROM clock_timestamp() - max(r.scheduled_for)) AS age
       FROM core_jobrun r WHERE r.state = 'done' GROUP BY r.job) j))
$$;

CREATE FUNCTION watchdog_beat(p_book text, p_build text, p_detail jsonb) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET lock_timeout = '200ms' AS $$
  INSERT INTO core_heartbeat (part, instance, build_id, seen_at, detail)
    VALUES ('watchdog', p_book, left(p_build, 40), clock_timestamp(), p_detail)
    ON CONFLICT (part, instance) DO UPDATE
      SET build_id = excluded.build_id, seen_at = excluded.seen_at, detail = excluded.detail
$$;

CREATE FUNCTION watchdog_stop_engine(p_book text, p_reason text) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF (SELECT t.state FROM trading_enginetransition t WHERE t.book = p_book
        ORDER BY t.id DESC LIMIT 1) IS DISTINCT FROM 'READY' THEN
    RETURN false;
  END IF;
  INSERT INTO trading_enginetransition (book, state, reason, actor_label, occurred_at, recorded_at)
    VALUES (p_book, 'STOPPED', left(p_reason, 300), 'watchdog', clock_timestamp(),
      clock_timestamp());
  RETURN true;
END $$;

-- Sessions that keep a stop, the watchdog, or the closing of a stopped fund waiting are ended.
CREATE FUNCTION watchdog_unblock(p_book text) RETURNS jsonb LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE stopped boolean := risk_fuse_state(p_book, 'fund') <> 'ARMED'; b record;
  ended jsonb := '[]';
BEGIN
  FOR b IN
    SELECT DISTINCT h.pid, h.usename, w.usename AS waiting FROM pg_stat_activity w
      CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS by_pid
      JOIN pg_stat_activity h ON h.pid = by_pid
    WHERE w.datname = current_database() AND w.wait_event_type = 'Lock'
      AND clock_timestamp() - w.query_start > interval '300 milliseconds'
      AND (w.usename IN ('fa_stop', 'fa_watchdog') OR (stopped AND w.usename = 'fa_gateway'))
      AND (h.usename IN ('fa_app', 'fa_auditor')
           OR (h.usename = 'fa_gateway' AND h.state LIKE 'idle in transaction%'
               AND w.usename <> 'fa_gateway')) LOOP
    ended := ended || jsonb_build_object('pid', b.pid, 'role', b.usename, 'kept', b.waiting,
      'ended', pg_terminate_backend(b.pid));
  END LOOP;
  RETURN ended;
END $$;

REVOKE ALL ON FUNCTION watchdog_look, watchdog_beat, watchdog_stop_engine, watchdog_unblock
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION watchdog_look, watchdog_beat, watchdog_stop_engine, watchdog_unblock
  TO fa_watchdog;
-- How many positions are left to close, for the answer to a stop.
GRANT SELECT (book, quantity) ON trading_position TO fa_stop;
"""


class Migration(migrations.Migration):
    dependencies = [("trading", "0007_research"), ("core", "0005_words")]
    operations = [
        migrations.RunSQL(ENGINE, migrations.RunSQL.noop),
        migrations.RunSQL(LOOK, migrations.RunSQL.noop),
    ]
