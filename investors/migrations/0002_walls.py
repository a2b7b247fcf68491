"""The ledger's walls: balance per transaction, chain, units kept by their entries, four eyes."""

from django.db import migrations

LEDGER = """
CREATE FUNCTION investors_entry_digest(e investors_entry) RETURNS bytea LANGUAGE sql STABLE
  SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT sha256(e.prev_hash || convert_to(jsonb_build_array(
    e.fund_id, e.seq, e.id, e.kind, e.source_ref, e.text,
    to_char(e.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    e.content_hash, e.reverses_id, e.created_by_id, e.created_by_label, e.approved_by_id
  )::text, 'UTF8'))
$$;

CREATE FUNCTION investors_ledger_chain() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE last record;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'ledger: the isolation level must be read committed';
  END IF;
  PERFORM pg_advisory_xact_lock(7002, hashtext('ledger:' || new.fund_id));
  SELECT e.seq, e.row_hash INTO last FROM investors_entry e
    WHERE e.fund_id = new.fund_id ORDER BY e.seq DESC LIMIT 1;
  new.seq := coalesce(last.seq, 0) + 1;
  new.prev_hash := coalesce(last.row_hash, '\\x'::bytea);
  new.xid := pg_current_xact_id()::text::bigint;
  new.row_hash := investors_entry_digest(new);
  RETURN new;
END $$;
CREATE TRIGGER ledger_chain BEFORE INSERT ON investors_entry
  FOR EACH ROW EXECUTE FUNCTION investors_ledger_chain();
ALTER TABLE investors_entry ENABLE ALWAYS TRIGGER ledger_chain;
ALTER TABLE investors_entry ALTER COLUMN seq SET DEFAULT 0, ALTER COLUMN xid SET DEFAULT 0,
  ALTER COLUMN prev_hash SET DEFAULT '\\x', ALTER COLUMN row_hash SET DEFAULT '\\x';

-- A posting joins an entry only inside the transaction that made the entry.
CREATE FUNCTION investors_ledger_open_entry() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM (SELECT DISTINCT entry_id FROM added) a
      LEFT JOIN investors_entry e ON e.id = a.entry_id
      WHERE e.xid IS DISTINCT FROM pg_current_xact_id()::text::bigint) THEN
    RAISE EXCEPTION 'ledger: the entry is closed';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_open_entry AFTER INSERT ON investors_posting
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION investors_ledger_open_entry();
ALTER TABLE investors_posting ENABLE ALWAYS TRIGGER ledger_open_entry;

-- Sums are kept per entry and currency, once a statement; the owner writes them, no caller can.
CREATE FUNCTION investors_ledger_sum() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO investors_entrybalance AS b (entry_id, currency, total)
    SELECT a.entry_id, a.currency, sum(a.amount) FROM added a GROUP BY 1, 2
    ON CONFLICT (entry_id, currency) DO UPDATE SET total = b.total + excluded.total;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_sum AFTER INSERT ON investors_posting
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION investors_ledger_sum();
ALTER TABLE investors_posting ENABLE ALWAYS TRIGGER ledger_sum;

CREATE FUNCTION investors_ledger_balanced() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF (SELECT b.total FROM investors_entrybalance b WHERE b.id = new.id) <> 0 THEN
    RAISE EXCEPTION 'ledger: entry % does not balance in %', new.entry_id, new.currency
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_balanced AFTER INSERT OR UPDATE ON investors_entrybalance
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION investors_ledger_balanced();
ALTER TABLE investors_entrybalance ENABLE ALWAYS TRIGGER ledger_balanced;

CREATE FUNCTION investors_ledger_balance_kept() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'append-only: % on % is refused', tg_op, tg_table_name;
END $$;
CREATE TRIGGER ledger_balance_kept BEFORE DELETE OR TRUNCATE ON investors_entrybalance
  FOR EACH STATEMENT EXECUTE FUNCTION investors_ledger_balance_kept();
ALTER TABLE investors_entrybalance ENABLE ALWAYS TRIGGER ledger_balance_kept;

CREATE FUNCTION investors_ledger_has_postings() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM investors_posting p WHERE p.entry_id = new.id) THEN
    RAISE EXCEPTION 'ledger: entry % has no postings', new.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_has_postings AFTER INSERT ON investors_entry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION investors_ledger_has_postings();
ALTER TABLE investors_entry ENABLE ALWAYS TRIGGER ledger_has_postings;
"""

UNITS = """
-- Units, mark and hurdle clock of a lot, and the units of its holding, follow the unit entries.
-- The row locks that these updates take, with CHECK (units >= 0), are what makes over-redeeming
-- impossible even for a caller that forgot to lock.
CREATE FUNCTION investors_unit_entry_apply() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  UPDATE investors_unitlot l SET units = l.units + s.delta,
      high_water_mark = s.mark, hurdle_start = s.clock
    FROM (SELECT a.lot_id, sum(a.units) AS delta,
            (array_agg(a.high_water_mark ORDER BY a.id DESC))[1] AS mark,
            (array_agg(a.hurdle_start ORDER BY a.id DESC))[1] AS clock
          FROM added a GROUP BY a.lot_id) s
    WHERE l.id = s.lot_id;
  UPDATE investors_holding h SET units = h.units + s.delta
    FROM (SELECT l.holding_id, sum(a.units) AS delta FROM added a
          JOIN investors_unitlot l ON l.id = a.lot_id GROUP BY l.holding_id) s
    WHERE h.id = s.holding_id;
  RETURN NULL;
END $$;
CREATE TRIGGER unit_entry_apply AFTER INSERT ON investors_unitentry
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION investors_unit_entry_apply();
ALTER TABLE investors_unitentry ENABLE ALWAYS TRIGGER unit_entry_apply;

CREATE FUNCTION investors_starts_empty() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF new.units <> 0 THEN
    RAISE EXCEPTION 'units come by a unit entry, not by the row itself'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER unit_lot_starts_empty BEFORE INSERT ON investors_unitlot
  FOR EACH ROW EXECUTE FUNCTION investors_starts_empty();
ALTER TABLE investors_unitlot ENABLE ALWAYS TRIGGER unit_lot_starts_empty;
CREATE TRIGGER holding_starts_empty BEFORE INSERT ON investors_holding
  FOR EACH ROW EXECUTE FUNCTION investors_starts_empty();
ALTER TABLE investors_holding ENABLE ALWAYS TRIGGER holding_starts_empty;
"""

NAV = """
CREATE FUNCTION investors_nav_strike_guard() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.state <> 'prepared' OR new.approved_by_id IS NOT NULL THEN
      RAISE EXCEPTION 'NAV: a strike is prepared first and approved by another person';
    END IF;
    RETURN new;
  END IF;
  IF (old.state, new.state) NOT IN (('prepared', 'approved'), ('prepared', 'rejected'),
      ('approved', 'dealt'), ('approved', 'superseded'), ('dealt', 'superseded')) THEN
    RAISE EXCEPTION 'NAV: % to % is refused', old.state, new.state;
  END IF;
  IF new.state = 'approved' THEN
    IF (SELECT person FROM core_user WHERE id = new.approved_by_id)
       = (SELECT person FROM core_user WHERE id = old.prepared_by_id) THEN
      RAISE EXCEPTION 'NAV: preparer and approver are the same person';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM core_rolegrant g WHERE g.user_id = new.approved_by_id
         AND g.role = 'controller' AND g.revoked_at IS NULL) THEN
      RAISE EXCEPTION 'NAV: the approver must be a controller';
    END IF;
  ELSIF old.state <> 'prepared' AND (new.approved_by_id IS DISTINCT FROM old.approved_by_id
      OR new.approved_hash IS DISTINCT FROM old.approved_hash
      OR new.approved_at IS DISTINCT FROM old.approved_at) THEN
    RAISE EXCEPTION 'NAV: the approval is fixed';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER nav_strike_guard BEFORE INSERT OR UPDATE ON investors_navstrike
  FOR EACH ROW EXECUTE FUNCTION investors_nav_strike_guard();
ALTER TABLE investors_navstrike ENABLE ALWAYS TRIGGER nav_strike_guard;
"""

APPEND_ONLY = """
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY[
    'investors_classpolicyversion', 'investors_entry', 'investors_posting',
    'investors_unitentry', 'investors_classnav', 'investors_lotnav'
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
    'investors_classpolicyversion', 'investors_entry', 'investors_posting',
    'investors_unitentry', 'investors_classnav', 'investors_lotnav'
  ] LOOP
    EXECUTE format('DROP TRIGGER append_only_row ON %I', t);
    EXECUTE format('DROP TRIGGER append_only_truncate ON %I', t);
  END LOOP;
END $$;
"""

# What the run-time roles may do with each table, as it was when the tables were made.
GRANTS = """
REVOKE ALL ON
  investors_classpolicyversion, investors_entry, investors_posting, investors_unitentry,
  investors_classnav, investors_lotnav, investors_entrybalance, investors_unitlot,
  investors_fund, investors_shareclass, investors_account, investors_investor,
  investors_holding, investors_dealingday, investors_dealingorder, investors_navstrike,
  investors_investorsnapshot
  FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON
  investors_classpolicyversion, investors_entry, investors_posting, investors_unitentry,
  investors_classnav, investors_lotnav, investors_entrybalance, investors_unitlot,
  investors_fund, investors_shareclass, investors_account, investors_investor,
  investors_holding, investors_dealingday, investors_dealingorder, investors_navstrike,
  investors_investorsnapshot
  TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON
  investors_classpolicyversion, investors_entry, investors_posting, investors_unitentry,
  investors_classnav, investors_lotnav, investors_unitlot, investors_fund,
  investors_shareclass, investors_account, investors_investor, investors_holding,
  investors_dealingday, investors_dealingorder, investors_navstrike,
  investors_investorsnapshot
  TO fa_app, fa_gateway;
GRANT UPDATE (is_suspended) ON investors_fund TO fa_app, fa_gateway;
GRANT UPDATE (name, minimum_subscription) ON investors_shareclass TO fa_app, fa_gateway;
GRANT UPDATE (name) ON investors_account TO fa_app, fa_gateway;
GRANT UPDATE (
  user_id, legal_name, email, country, kyc_state, kyc_approved_at
) ON investors_investor TO fa_app, fa_gateway;
GRANT UPDATE (reserved_units, updated_at) ON investors_holding TO fa_app, fa_gateway;
GRANT UPDATE (is_suspended) ON investors_dealingday TO fa_app, fa_gateway;
GRANT UPDATE (
  state, dealing_day_id, strike_id, units, dealt_units, dealt_price, dealt_amount,
  fee_amount, reason, updated_at
) ON investors_dealingorder TO fa_app, fa_gateway;
GRANT UPDATE (
  state, approved_by_id, approved_at, approved_hash, rejected_reason, dealt_at
) ON investors_navstrike TO fa_app, fa_gateway;
GRANT UPDATE (
  units, value, net_invested, share_of_fund, is_estimate
) ON investors_investorsnapshot TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0001_initial"), ("core", "0002_walls")]
    operations = [
        migrations.RunSQL(
            LEDGER,
            "DROP FUNCTION investors_ledger_chain() CASCADE;"
            "DROP FUNCTION investors_ledger_open_entry() CASCADE;"
            "DROP FUNCTION investors_ledger_sum() CASCADE;"
            "DROP FUNCTION investors_ledger_balanced() CASCADE;"
            "DROP FUNCTION investors_ledger_balance_kept() CASCADE;"
            "DROP FUNCTION investors_ledger_has_postings() CASCADE;"
            "DROP FUNCTION investors_entry_digest CASCADE;",
        ),
        migrations.RunSQL(
            UNITS,
            "DROP FUNCTION investors_unit_entry_apply() CASCADE;"
            "DROP FUNCTION investors_starts_empty() CASCADE;",
        ),
        migrations.RunSQL(NAV, "DROP FUNCTION investors_nav_strike_guard() CASCADE;"),
        migrations.RunSQL(APPEND_ONLY, APPEND_ONLY_BACK),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
