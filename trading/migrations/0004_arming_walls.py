"""Arming rests on a clean reconciliation since the fund stopped, and a second drawdown reset within
30 days on a director: said by services already, held by PostgreSQL from here on.
"""

from django.db import migrations

ARMING = """
CREATE FUNCTION trading_arming_guard() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE x record; clean_at timestamptz; stopped_at timestamptz; armed_id bigint;
BEGIN
  IF new.state <> 'ARMED' OR new.scope <> 'fund' THEN
    RETURN new;
  END IF;
  SELECT * INTO x FROM risk_fusereset WHERE id = new.reset_id;
  SELECT coalesce(max(t.id), 0) INTO armed_id FROM risk_fusetransition t
    WHERE t.book = new.book AND t.scope = 'fund' AND t.state = 'ARMED';
  SELECT max(t.occurred_at) INTO stopped_at FROM risk_fusetransition t
    WHERE t.book = new.book AND t.scope = 'fund' AND t.id > armed_id;
  SELECT r.occurred_at INTO clean_at FROM trading_reconciliation r
    WHERE r.id::text = x.reconciliation AND r.book = new.book AND r.is_clean;
  IF clean_at IS NULL OR clean_at > new.occurred_at OR clean_at < stopped_at OR EXISTS (
       SELECT 1 FROM trading_reconciliation r WHERE r.book = new.book AND NOT r.is_clean
         AND r.occurred_at > clean_at AND r.occurred_at <= new.occurred_at) THEN
    RAISE EXCEPTION 'fuse: arming takes a clean reconciliation since the fund stopped';
  END IF;
  IF EXISTS (SELECT 1 FROM risk_fusetransition t JOIN risk_fuseevent e ON e.id = t.event_id
       WHERE t.book = new.book AND t.scope = 'fund' AND t.id > armed_id
         AND t.state = 'TRIPPED' AND e.trigger = 'drawdown')
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
-- Its name sorts behind fuse_transition_guard, which holds the scope's lock by then.
CREATE TRIGGER fuse_transition_rest BEFORE INSERT ON risk_fusetransition
  FOR EACH ROW EXECUTE FUNCTION trading_arming_guard();
ALTER TABLE risk_fusetransition ENABLE ALWAYS TRIGGER fuse_transition_rest;
"""


class Migration(migrations.Migration):
    dependencies = [("trading", "0003_candle_ingest"), ("risk", "0002_walls")]
    operations = [
        migrations.RunSQL(ARMING, "DROP FUNCTION trading_arming_guard() CASCADE;"),
    ]
