"""A stop is one insert that waits for nobody, and no later row hides it.

The fund is stopped while any event of kind ``tripped`` or ``disarmed`` has no row that says which
arming ended it.  Arming holds the book's latch and ends exactly the stops that its signers saw.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.kernel.clock

APPEND_ONLY = """
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON risk_fusestopreset
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON risk_fusestopreset
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE risk_fusestopreset ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE risk_fusestopreset ENABLE ALWAYS TRIGGER append_only_truncate;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON risk_fusebarrier
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON risk_fusebarrier
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE risk_fusebarrier ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE risk_fusebarrier ENABLE ALWAYS TRIGGER append_only_truncate;
"""

#: Triggers refuse every change of append-only rows, so what earlier versions recorded is told anew:
#: each stop before an arming was ended by the first arming after it.
EARLIER = """
INSERT INTO risk_fusestopreset (event_id, reset_id, recorded_at)
  SELECT s.event_id, a.reset_id, clock_timestamp() FROM risk_fusetransition s
  CROSS JOIN LATERAL (SELECT t.reset_id FROM risk_fusetransition t
    WHERE t.book = s.book AND t.scope = 'fund' AND t.state = 'ARMED' AND t.id > s.id
    ORDER BY t.id LIMIT 1) a
  WHERE s.scope = 'fund' AND s.state IN ('TRIPPED', 'DISARMED') AND s.event_id IS NOT NULL
  ON CONFLICT DO NOTHING;
INSERT INTO risk_fuselatch (book)
  SELECT DISTINCT t.book FROM risk_fusetransition t WHERE t.scope = 'fund' AND t.state = 'ARMED';
UPDATE risk_fusereset x SET stops = coalesce((SELECT array_agg(e.id) FROM risk_fuseevent e
    WHERE e.book = x.book AND e.scope = 'fund' AND e.kind IN ('tripped', 'disarmed')
      AND NOT EXISTS (SELECT 1 FROM risk_fusestopreset r WHERE r.event_id = e.id)), '{}')
  WHERE x.approved_at IS NULL AND x.withdrawn_at IS NULL;
"""

STATE = """
CREATE FUNCTION risk_open_stops(p_book text)
  RETURNS TABLE (event_id uuid, kind text, trigger text, occurred_at timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT e.id, e.kind, e.trigger, e.occurred_at FROM risk_fuseevent e
    WHERE e.book = p_book AND e.scope = 'fund' AND e.kind IN ('tripped', 'disarmed')
      AND NOT EXISTS (SELECT 1 FROM risk_fusestopreset r WHERE r.event_id = e.id)
$$;

CREATE FUNCTION risk_fuse_state(p_book text, p_scope text) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE
    WHEN p_scope = 'fund' THEN coalesce(
      (SELECT CASE WHEN bool_or(s.kind = 'tripped') THEN 'TRIPPED' ELSE 'DISARMED' END
         FROM risk_open_stops(p_book) s HAVING count(*) > 0),
      (SELECT 'ARMED' FROM risk_fusetransition t
         WHERE t.book = p_book AND t.scope = 'fund' AND t.state = 'ARMED' LIMIT 1),
      'DISARMED')
    ELSE coalesce(
      (SELECT t.state FROM risk_fusetransition t
         WHERE t.book = p_book AND t.scope = p_scope AND t.state <> 'ARMED'
           AND t.id > coalesce((SELECT coalesce(a.follows, a.id) FROM risk_fusetransition a
             WHERE a.book = p_book AND a.scope = p_scope AND a.state = 'ARMED'
             ORDER BY a.id DESC LIMIT 1), 0)
         ORDER BY t.id DESC LIMIT 1),
      'ARMED')
  END
$$;
"""

#: One insert: no foreign key, no contended key, no audit line, no advisory lock.
STOP = """
CREATE FUNCTION risk_stop_fund(
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
  at := coalesce(p_at, clock_timestamp());
  INSERT INTO risk_fuseevent (id, book, scope, kind, trigger, strategy, severity, measured,
      limits_version, action, positions_closed, latency_ms, reason, actor_id, actor_label,
      occurred_at, recorded_at)
    VALUES (event_id, p_book, 'fund', p_kind, left(coalesce(p_trigger, ''), 40), '', p_severity,
      coalesce(p_measured, '{}'), p_limits_version, left(coalesce(p_action, ''), 200),
      p_positions_closed, p_latency_ms, left(coalesce(p_reason, ''), 500), p_actor,
      left(coalesce(p_actor_label, ''), 120), at, clock_timestamp());
END $$;
"""

#: The latch is share-locked by each order that adds exposure.  Whoever holds it longer than the
#: barrier may wait is ended: the fund has stopped, so nothing that he could commit is wanted.
BARRIER = """
CREATE FUNCTION risk_fuse_barrier(p_book text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET lock_timeout = '300ms' AS $$
DECLARE
  began timestamptz := clock_timestamp(); tries integer := 0; passed boolean := false;
  ended jsonb := '[]'; h record; gone boolean; waited double precision;
BEGIN
  LOOP
    BEGIN
      UPDATE risk_fuselatch SET passed_at = clock_timestamp() WHERE book = p_book;
      passed := true;
      EXIT;
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
      tries := tries + 1;
      EXIT WHEN tries > 5;
      FOR h IN SELECT DISTINCT l.pid, a.usename FROM pg_locks l
          JOIN pg_stat_activity a ON a.pid = l.pid
          WHERE l.relation = 'public.risk_fuselatch'::regclass AND l.granted
            AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
            AND l.pid <> pg_backend_pid()
            AND (l.mode <> 'RowExclusiveLock' OR tries > 2
                 OR a.wait_event_type IS DISTINCT FROM 'Lock') LOOP
        BEGIN
          gone := pg_terminate_backend(h.pid);
        EXCEPTION WHEN insufficient_privilege THEN
          gone := false;
        END;
        ended := ended || jsonb_build_object('pid', h.pid, 'role', h.usename, 'ended', gone,
          'after_ms', round(extract(epoch FROM clock_timestamp() - began) * 1000));
      END LOOP;
    END;
  END LOOP;
  waited := extract(epoch FROM clock_timestamp() - began) * 1000;
  INSERT INTO risk_fusebarrier (book, has_passed, waited_ms, ended, recorded_at)
    VALUES (p_book, passed, waited, ended, clock_timestamp());
  RETURN jsonb_build_object('passed', passed, 'waited_ms', waited, 'ended', ended);
END $$;
"""

GUARDS = """
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
REVOKE ALL ON risk_fuselatch, risk_fusebarrier, risk_fusestopreset
  FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON risk_fusebarrier, risk_fusestopreset TO fa_app, fa_gateway, fa_auditor;
REVOKE ALL ON FUNCTION risk_open_stops, risk_fuse_state, risk_stop_fund, risk_fuse_barrier
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION risk_open_stops, risk_fuse_state
  TO fa_app, fa_gateway, fa_auditor, fa_stop, fa_watchdog;
GRANT EXECUTE ON FUNCTION risk_stop_fund, risk_fuse_barrier
  TO fa_app, fa_gateway, fa_stop, fa_watchdog;
"""

NOOP = migrations.RunSQL.noop


class Migration(migrations.Migration):
    dependencies = [
        ("risk", "0002_walls"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="FuseBarrier",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("book", models.CharField(max_length=20)),
                ("has_passed", models.BooleanField()),
                ("waited_ms", models.FloatField()),
                ("ended", models.JSONField(default=list)),
                ("recorded_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
            ],
        ),
        migrations.CreateModel(
            name="FuseLatch",
            fields=[
                ("book", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("passed_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="FuseStopReset",
            fields=[
                (
                    "event",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="stop_reset",
                        serialize=False,
                        to="risk.fuseevent",
                    ),
                ),
                ("recorded_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
            ],
        ),
        migrations.AddField(
            model_name="fusereset",
            name="stops",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(),
                blank=True,
                default=list,
                help_text="The stops that its signers saw; PostgreSQL fills it.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="fusetransition",
            name="follows",
            field=models.BigIntegerField(blank=True, editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="fuseevent",
            name="actor",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="fuseevent",
            index=models.Index(
                condition=models.Q(("kind__in", ["tripped", "disarmed"]), ("scope", "fund")),
                fields=["book"],
                name="risk_fuseevent_stops",
            ),
        ),
        migrations.AddField(
            model_name="fusestopreset",
            name="reset",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="stop_resets",
                to="risk.fusereset",
            ),
        ),
        migrations.RunSQL(APPEND_ONLY, NOOP),
        migrations.RunSQL(STATE + STOP + BARRIER, NOOP),
        migrations.RunSQL(EARLIER, NOOP),
        migrations.RunSQL(GUARDS, NOOP),
        migrations.RunSQL(GRANTS, NOOP),
    ]
