"""A stop happened when the server wrote it, whoever wrote it and how."""

from django.db import migrations

WALL = r"""
-- Arming asks for a clean reconciliation after the last stop: of one that says to have happened
-- next century there is none.  It asks no lock, as a stop waits for nobody.
CREATE FUNCTION risk_stop_time() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  new.occurred_at := public.wall_time(new.book, new.occurred_at);
  new.recorded_at := clock_timestamp();
  RETURN new;
END $$;
REVOKE ALL ON FUNCTION risk_stop_time FROM PUBLIC;
CREATE TRIGGER stop_time BEFORE INSERT ON risk_fuseevent
  FOR EACH ROW WHEN (new.kind IN ('tripped', 'disarmed')) EXECUTE FUNCTION risk_stop_time();
ALTER TABLE risk_fuseevent ENABLE ALWAYS TRIGGER stop_time;

CREATE OR REPLACE FUNCTION risk_stop_fund(
    p_book text, p_kind text, p_trigger text, p_reason text, p_actor uuid, p_actor_label text,
    p_at timestamptz, p_severity double precision, p_measured jsonb, p_limits_version integer,
    p_action text, p_positions_closed integer, p_latency_ms double precision,
    OUT event_id uuid, OUT at timestamptz)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF p_kind NOT IN ('tripped', 'disarmed') THEN
    RAISE EXCEPTION 'fuse: % is no stop of the fund', p_kind;
  END IF;
  event_id := gen_random_uuid();
  INSERT INTO risk_fuseevent (id, book, scope, kind, trigger, strategy, severity, measured,
      limits_version, action, positions_closed, latency_ms, reason, actor_id, actor_label,
      occurred_at, recorded_at)
    VALUES (event_id, p_book, 'fund', p_kind, left(coalesce(p_trigger, ''), 40), '', p_severity,
      coalesce(p_measured, '{}'), p_limits_version, left(coalesce(p_action, ''), 200),
      p_positions_closed, p_latency_ms, left(coalesce(p_reason, ''), 500), p_actor,
      left(coalesce(p_actor_label, ''), 120), p_at, clock_timestamp())
    RETURNING risk_fuseevent.occurred_at INTO at;
END $$;
"""
BACK = r"""
CREATE OR REPLACE FUNCTION risk_stop_fund(
    p_book text, p_kind text, p_trigger text, p_reason text, p_actor uuid, p_actor_label text,
    p_at timestamptz, p_severity double precision, p_measured jsonb, p_limits_version integer,
    p_action text, p_positions_closed integer, p_latency_ms double precision,
    OUT event_id uuid, OUT at timestamptz)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF p_kind NOT IN ('tripped', 'disarmed') THEN
    RAISE EXCEPTION 'fuse: % is no stop of the fund', p_kind;
  END IF;
  event_id := gen_random_uuid();
  at := wall_time(p_book, p_at);
  INSERT INTO risk_fuseevent (id, book, scope, kind, trigger, strategy, severity, measured,
      limits_version, action, positions_closed, latency_ms, reason, actor_id, actor_label,
      occurred_at, recorded_at)
    VALUES (event_id, p_book, 'fund', p_kind, left(coalesce(p_trigger, ''), 40), '', p_severity,
      coalesce(p_measured, '{}'), p_limits_version, left(coalesce(p_action, ''), 200),
      p_positions_closed, p_latency_ms, left(coalesce(p_reason, ''), 500), p_actor,
      left(coalesce(p_actor_label, ''), 120), at, clock_timestamp());
END $$;
DROP FUNCTION risk_stop_time() CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0011_no_fuse_memory")]
    operations = [migrations.RunSQL(WALL, BACK)]
