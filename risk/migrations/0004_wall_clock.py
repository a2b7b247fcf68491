"""Authority rows take the time of the server; only a told story's book takes the story's."""

from django.db import migrations, models

import magnetfund.kernel.clock

CLOCK = """
CREATE FUNCTION wall_time(p_book text, p_at timestamptz) RETURNS timestamptz
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN p_at IS NOT NULL AND (
      EXISTS (SELECT 1 FROM risk_wallinstance i WHERE i.kind = 'test')
      OR EXISTS (SELECT 1 FROM risk_scenarioclock c WHERE c.book = p_book AND c.closed_at IS NULL))
    THEN p_at ELSE clock_timestamp() END
$$;

CREATE FUNCTION wall_open_scenario(p_book text) RETURNS void LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM risk_wallinstance) OR EXISTS (SELECT 1 FROM risk_wallinstance i
       WHERE i.kind = 'production' AND i.live_book = p_book) THEN
    RAISE EXCEPTION 'wall clock: the live book of a production takes the time of the server';
  END IF;
  IF EXISTS (SELECT 1 FROM risk_scenarioclock c WHERE c.book = p_book AND c.closed_at IS NULL) THEN
    RETURN;
  END IF;
  IF EXISTS (SELECT 1 FROM risk_scenarioclock c WHERE c.book = p_book)
     OR EXISTS (SELECT 1 FROM risk_fuseevent e WHERE e.book = p_book)
     OR EXISTS (SELECT 1 FROM risk_fusetransition t WHERE t.book = p_book)
     OR EXISTS (SELECT 1 FROM risk_fusereset r WHERE r.book = p_book) THEN
    RAISE EXCEPTION 'wall clock: book % has a past under the time of the server', p_book;
  END IF;
  INSERT INTO risk_scenarioclock (book, opened_at) VALUES (p_book, clock_timestamp());
END $$;

CREATE FUNCTION wall_close_scenario(p_book text) RETURNS void LANGUAGE sql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  UPDATE risk_scenarioclock SET closed_at = clock_timestamp()
    WHERE book = p_book AND closed_at IS NULL
$$;
"""

GUARDS = """
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

CREATE OR REPLACE FUNCTION risk_fuse_transition_guard() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record; loss timestamptz;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'fuse: the isolation level must be read committed';
  END IF;
  IF new.scope = 'fund' AND new.state <> 'ARMED' THEN
    RAISE EXCEPTION 'fuse: a stop of the fund is an event, not a transition';
  END IF;
  IF new.scope <> 'fund' AND session_user = 'fa_app' THEN
    RAISE EXCEPTION 'fuse: the state of an instrument is written by the trader';
  END IF;
  new.occurred_at := wall_time(new.book, new.occurred_at);
  new.recorded_at := clock_timestamp();
  new.follows := NULL;
  IF new.state <> 'ARMED' THEN
    -- It waits for no lock: whatever is cleared meanwhile did not see this row.
    new.id := nextval('public.risk_fusetransition_id_seq');
    RETURN new;
  END IF;
  INSERT INTO risk_fuselatch (book) VALUES (new.book) ON CONFLICT DO NOTHING;
  PERFORM 1 FROM risk_fuselatch l WHERE l.book = new.book FOR UPDATE;
  new.id := nextval('public.risk_fusetransition_id_seq');
  IF new.scope <> 'fund' THEN
    IF risk_fuse_state(new.book, new.scope) <> 'REDUCING' THEN
      RAISE EXCEPTION 'fuse: % is not reducing', new.scope;
    END IF;
    new.follows := (SELECT max(t.id) FROM risk_fusetransition t
      WHERE t.book = new.book AND t.scope = new.scope AND t.state <> 'ARMED');
    RETURN new;
  END IF;
  IF new.reset_id IS NULL THEN
    RAISE EXCEPTION 'fuse: arming the fund takes an approved reset by two people';
  END IF;
  SELECT x.*, pa.person AS approver, pp.person AS proposer INTO r FROM risk_fusereset x
    JOIN core_user pp ON pp.id = x.proposed_by_id
    LEFT JOIN core_user pa ON pa.id = x.approved_by_id WHERE x.id = new.reset_id;
  IF r.approved_at IS NULL OR r.withdrawn_at IS NOT NULL OR r.book <> new.book
     OR r.approver = r.proposer THEN
    RAISE EXCEPTION 'fuse: the reset is not approved by a second person';
  END IF;
  IF EXISTS (SELECT 1 FROM risk_open_stops(new.book) s WHERE s.event_id <> ALL (r.stops)) THEN
    RAISE EXCEPTION 'fuse: the fund was stopped again since this request';
  END IF;
  SELECT max(e.occurred_at) INTO loss FROM risk_fuseevent e
    WHERE e.id = ANY (r.stops) AND e.trigger = 'daily_loss';
  IF new.occurred_at < (date_trunc('day', loss AT TIME ZONE 'UTC') + interval '1 day')
       AT TIME ZONE 'UTC' THEN
    RAISE EXCEPTION 'fuse: after a daily loss it can be armed from the next UTC day on';
  END IF;
  INSERT INTO risk_fusestopreset (event_id, reset_id, recorded_at)
    SELECT s, new.reset_id, clock_timestamp() FROM unnest(r.stops) s ON CONFLICT DO NOTHING;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION risk_fuse_reset_guard() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.approved_by_id IS NOT NULL OR new.approved_at IS NOT NULL THEN
      RAISE EXCEPTION 'fuse: a reset is proposed first and approved by another person';
    END IF;
    new.proposed_at := wall_time(new.book, new.proposed_at);
    -- What is ended, and the heaviest cause of it, is not the caller's word.
    new.stops := coalesce((SELECT array_agg(s.event_id) FROM risk_open_stops(new.book) s), '{}');
    new.trigger := coalesce((SELECT s.trigger FROM risk_open_stops(new.book) s
      ORDER BY s.trigger = 'drawdown' DESC, s.trigger = 'daily_loss' DESC, s.occurred_at DESC
      LIMIT 1), '');
    RETURN new;
  END IF;
  IF old.approved_at IS NOT NULL AND (new.approved_by_id IS DISTINCT FROM old.approved_by_id
     OR new.approved_at IS DISTINCT FROM old.approved_at
     OR new.director_id IS DISTINCT FROM old.director_id) THEN
    RAISE EXCEPTION 'fuse: an approved reset is fixed';
  END IF;
  IF new.approved_by_id IS NOT NULL AND old.approved_by_id IS NULL THEN
    new.approved_at := wall_time(new.book, new.approved_at);
    IF (SELECT person FROM core_user WHERE id = new.approved_by_id)
       = (SELECT person FROM core_user WHERE id = new.proposed_by_id) THEN
      RAISE EXCEPTION 'fuse: proposer and approver are the same person';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM core_rolegrant g WHERE g.user_id = new.approved_by_id
         AND g.role = 'risk_officer' AND g.revoked_at IS NULL)
       OR NOT EXISTS (SELECT 1 FROM core_rolegrant g WHERE g.user_id = new.proposed_by_id
         AND g.role = 'risk_officer' AND g.revoked_at IS NULL) THEN
      RAISE EXCEPTION 'fuse: proposer and approver must be risk officers';
    END IF;
  END IF;
  RETURN new;
END $$;
"""

GRANTS = """
REVOKE ALL ON risk_wallinstance, risk_scenarioclock FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON risk_wallinstance, risk_scenarioclock TO fa_app, fa_gateway, fa_auditor;
REVOKE ALL ON FUNCTION wall_time, wall_open_scenario, wall_close_scenario FROM PUBLIC;
GRANT EXECUTE ON FUNCTION wall_time TO fa_app, fa_gateway;
GRANT EXECUTE ON FUNCTION wall_open_scenario, wall_close_scenario TO fa_gateway;
"""

NOOP = migrations.RunSQL.noop


class Migration(migrations.Migration):
    dependencies = [
        ("risk", "0003_stop_without_waiting"),
    ]

    operations = [
        migrations.CreateModel(
            name="ScenarioClock",
            fields=[
                ("book", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("opened_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="WallInstance",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=10)),
                ("live_book", models.CharField(max_length=20)),
                ("recorded_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
            ],
        ),
        migrations.RunSQL(CLOCK, NOOP),
        migrations.RunSQL(GUARDS, NOOP),
        migrations.RunSQL(GRANTS, NOOP),
    ]
