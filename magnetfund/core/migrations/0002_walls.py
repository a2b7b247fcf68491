"""Append-only audit chain and the grants of the core tables."""

from django.db import migrations

from magnetfund.core.table_walls import APPEND_ONLY_TABLES, FIRST_GRANTS
from magnetfund.core.walls import grants_operation, refuse_changes

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


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [
        migrations.RunSQL(APPEND_ONLY_FUNCTION, "DROP FUNCTION wall_append_only();"),
        migrations.RunSQL(
            AUDIT_CHAIN,
            "DROP FUNCTION core_audit_chain() CASCADE; DROP FUNCTION core_audit_digest CASCADE;",
        ),
        refuse_changes(APPEND_ONLY_TABLES),
        grants_operation(FIRST_GRANTS),
    ]
