"""Append-only audit chain and the grants of the core tables."""

from django.db import migrations

APPEND_ONLY_FUNCTION = """
CREATE FUNCTION wall_append_only() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'append-only: % on % is refused', tg_op, tg_table_name
    USING ERRCODE = 'insufficient_privilege';
END $$;
"""

# The digest covers text forms that no session setting changes (times by to_char in UTC).
AUDIT_CHAIN = """
CREATE FUNCTION core_audit_digest(a core_auditevent) RETURNS bytea LANGUAGE sql STABLE
  SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT sha256(a.prev_hash || convert_to(jsonb_build_array(
    a.chain, a.seq,
    to_char(a.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    to_char(a.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    a.actor_id, a.actor_label, a.action, a.subject_type, a.subject_id, a.body, a.trace_id
  )::text, 'UTF8'))
$$;

CREATE FUNCTION core_audit_chain() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE last record;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'audit: the isolation level must be read committed';
  END IF;
  PERFORM pg_advisory_xact_lock(7002, hashtext('audit:' || new.chain));
  SELECT e.seq, e.row_hash INTO last FROM core_auditevent e
    WHERE e.chain = new.chain ORDER BY e.seq DESC LIMIT 1;
  new.seq := coalesce(last.seq, 0) + 1;
  new.prev_hash := coalesce(last.row_hash, '\\x'::bytea);
  new.recorded_at := clock_timestamp();
  new.row_hash := core_audit_digest(new);
  RETURN new;
END $$;

CREATE TRIGGER audit_chain BEFORE INSERT ON core_auditevent
  FOR EACH ROW EXECUTE FUNCTION core_audit_chain();
ALTER TABLE core_auditevent ENABLE ALWAYS TRIGGER audit_chain;
ALTER TABLE core_auditevent ALTER COLUMN seq SET DEFAULT 0,
  ALTER COLUMN recorded_at SET DEFAULT clock_timestamp(),
  ALTER COLUMN prev_hash SET DEFAULT '\\x', ALTER COLUMN row_hash SET DEFAULT '\\x';
"""

APPEND_ONLY = """
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY[
    'core_auditevent'
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
    'core_auditevent'
  ] LOOP
    EXECUTE format('DROP TRIGGER append_only_row ON %I', t);
    EXECUTE format('DROP TRIGGER append_only_truncate ON %I', t);
  END LOOP;
END $$;
"""

# What the run-time roles may do with each table, as it was when the tables were made.
GRANTS = """
REVOKE ALL ON
  core_auditevent, core_user, core_rolegrant, core_jobrun, core_lease, core_heartbeat,
  core_systemconfig, core_idempotencykey, core_user_groups, core_user_user_permissions
  FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON
  core_auditevent, core_user, core_rolegrant, core_jobrun, core_lease, core_heartbeat,
  core_systemconfig, core_idempotencykey, core_user_groups, core_user_user_permissions
  TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON
  core_auditevent, core_user, core_rolegrant, core_jobrun, core_lease, core_heartbeat,
  core_systemconfig, core_idempotencykey, core_user_groups, core_user_user_permissions
  TO fa_app, fa_gateway;
GRANT UPDATE (
  password, last_login, email, name, is_active, time_zone, theme
) ON core_user TO fa_app, fa_gateway;
GRANT UPDATE (revoked_by_id, revoked_at) ON core_rolegrant TO fa_app, fa_gateway;
GRANT UPDATE (state, finished_at, detail) ON core_jobrun TO fa_app, fa_gateway;
GRANT UPDATE (holder, token, expires_at) ON core_lease TO fa_app, fa_gateway;
GRANT UPDATE (build_id, seen_at, detail) ON core_heartbeat TO fa_app, fa_gateway;
GRANT UPDATE (value, updated_at, updated_by_id) ON core_systemconfig TO fa_app, fa_gateway;
GRANT UPDATE (created_at) ON core_idempotencykey TO fa_app, fa_gateway;
GRANT UPDATE ON core_user_groups TO fa_app, fa_gateway;
GRANT UPDATE ON core_user_user_permissions TO fa_app, fa_gateway;
GRANT DELETE ON
  core_jobrun, core_heartbeat, core_idempotencykey, core_user_groups,
  core_user_user_permissions
  TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [
        migrations.RunSQL(APPEND_ONLY_FUNCTION, "DROP FUNCTION wall_append_only();"),
        migrations.RunSQL(
            AUDIT_CHAIN,
            "DROP FUNCTION core_audit_chain() CASCADE; DROP FUNCTION core_audit_digest CASCADE;",
        ),
        migrations.RunSQL(APPEND_ONLY, APPEND_ONLY_BACK),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
