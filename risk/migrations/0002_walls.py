"""The fuse's own walls: who may re-arm, in what order states count, and the grants."""

from django.db import migrations

FUSE = """
CREATE FUNCTION risk_fuse_transition_guard() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE current_state text; r record; cause record;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'fuse: the isolation level must be read committed';
  END IF;
  -- One writer a scope at a time; the id is taken after the lock, so the newest id is the newest
  -- committed state and a trip can never be hidden by an arming that began earlier.
  PERFORM pg_advisory_xact_lock(7004, hashtext(new.book || '/' || new.scope));
  new.id := nextval(pg_get_serial_sequence('public.risk_fusetransition', 'id'));
  new.recorded_at := clock_timestamp();
  IF new.state <> 'ARMED' THEN
    RETURN new;
  END IF;
  SELECT t.state INTO current_state FROM risk_fusetransition t
    WHERE t.book = new.book AND t.scope = new.scope ORDER BY t.id DESC LIMIT 1;
  IF new.scope <> 'fund' THEN
    IF current_state IS DISTINCT FROM 'REDUCING' THEN
      RAISE EXCEPTION 'fuse: % is not reducing', new.scope;
    END IF;
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
  SELECT e.trigger, e.occurred_at INTO cause FROM risk_fusetransition t
    JOIN risk_fuseevent e ON e.id = t.event_id
    WHERE t.book = new.book AND t.scope = 'fund' AND t.state = 'TRIPPED'
      AND t.id > coalesce((SELECT max(a.id) FROM risk_fusetransition a
        WHERE a.book = new.book AND a.scope = 'fund' AND a.state = 'ARMED'), 0)
      AND e.trigger = 'daily_loss'
    ORDER BY t.id DESC LIMIT 1;
  IF cause.trigger IS NOT NULL AND new.occurred_at <
     (date_trunc('day', cause.occurred_at AT TIME ZONE 'UTC') + interval '1 day')
       AT TIME ZONE 'UTC' THEN
    RAISE EXCEPTION 'fuse: after a daily loss it can be armed from the next UTC day on';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER fuse_transition_guard BEFORE INSERT ON risk_fusetransition
  FOR EACH ROW EXECUTE FUNCTION risk_fuse_transition_guard();
ALTER TABLE risk_fusetransition ENABLE ALWAYS TRIGGER fuse_transition_guard;

CREATE FUNCTION risk_fuse_reset_guard() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.approved_by_id IS NOT NULL OR new.approved_at IS NOT NULL THEN
      RAISE EXCEPTION 'fuse: a reset is proposed first and approved by another person';
    END IF;
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
CREATE TRIGGER fuse_reset_guard BEFORE INSERT OR UPDATE ON risk_fusereset
  FOR EACH ROW EXECUTE FUNCTION risk_fuse_reset_guard();
ALTER TABLE risk_fusereset ENABLE ALWAYS TRIGGER fuse_reset_guard;
"""

APPEND_ONLY = """
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY[
    'risk_limitset', 'risk_fuseevent', 'risk_fusetransition', 'risk_strategylock',
    'risk_pretradecheck', 'risk_riskmeasure'
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
    'risk_limitset', 'risk_fuseevent', 'risk_fusetransition', 'risk_strategylock',
    'risk_pretradecheck', 'risk_riskmeasure'
  ] LOOP
    EXECUTE format('DROP TRIGGER append_only_row ON %I', t);
    EXECUTE format('DROP TRIGGER append_only_truncate ON %I', t);
  END LOOP;
END $$;
"""

# What the run-time roles may do with each table, as it was when the tables were made.
GRANTS = """
REVOKE ALL ON
  risk_limitset, risk_fuseevent, risk_fusetransition, risk_strategylock, risk_pretradecheck,
  risk_riskmeasure, risk_limitproposal, risk_fusereset, risk_fusememory, risk_reservation
  FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON
  risk_limitset, risk_fuseevent, risk_fusetransition, risk_strategylock, risk_pretradecheck,
  risk_riskmeasure, risk_limitproposal, risk_fusereset, risk_fusememory, risk_reservation
  TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON
  risk_limitset, risk_fuseevent, risk_fusetransition, risk_strategylock, risk_pretradecheck,
  risk_riskmeasure, risk_limitproposal, risk_fusereset, risk_fusememory, risk_reservation
  TO fa_app, fa_gateway;
GRANT UPDATE (limit_set_id, withdrawn_at) ON risk_limitproposal TO fa_app, fa_gateway;
GRANT UPDATE (
  approved_by_id, approved_at, director_id, withdrawn_at
) ON risk_fusereset TO fa_app, fa_gateway;
GRANT UPDATE (snapshot, gauges, updated_at) ON risk_fusememory TO fa_app, fa_gateway;
GRANT UPDATE (state, released_at) ON risk_reservation TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0001_initial"), ("core", "0002_walls")]
    operations = [
        migrations.RunSQL(
            FUSE,
            "DROP FUNCTION risk_fuse_transition_guard() CASCADE;"
            "DROP FUNCTION risk_fuse_reset_guard() CASCADE;",
        ),
        migrations.RunSQL(APPEND_ONLY, APPEND_ONLY_BACK),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
