"""A role of its own for background jobs, and one for backups."""

from django.db import migrations

#: No background job writes a row of these.
TABLES = (
    "account_emailaddress",
    "core_rolegrant",
    "core_roleproposal",
    "core_signaturerequest",
    "core_systemconfig",
    "core_user",
    "investors_classpolicyversion",
    "investors_dealingorder",
    "investors_entry",
    "investors_fund",
    "investors_fundaccount",
    "investors_lineallocation",
    "investors_navstrike",
    "investors_payeeaccount",
    "investors_payment",
    "investors_posting",
    "investors_statementline",
    "investors_suspensionproposal",
    "investors_termsproposal",
    "investors_unitentry",
    "investors_unitlot",
    "mfa_authenticator",
    "risk_fusereset",
    "risk_limitproposal",
    "risk_pretradecheck",
    "trading_bookmember",
    "trading_enginetransition",
    "trading_order",
    "trading_sleeveproposal",
)

WALLS = """
CREATE FUNCTION wall_not_by_worker() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF session_user = 'fa_worker' THEN
    RAISE EXCEPTION 'worker: no background job writes %', TG_TABLE_NAME
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NULL;
END $$;
""" + "".join(
    f"""
CREATE TRIGGER not_by_worker BEFORE INSERT OR UPDATE OR DELETE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION wall_not_by_worker();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER not_by_worker;
"""
    for table in TABLES
)

BACKUP = """
GRANT INSERT ON operations_backup, operations_backupcheck, core_auditevent, core_heartbeat
  TO fa_backup;
GRANT UPDATE (build_id, seen_at, detail) ON core_heartbeat TO fa_backup;
GRANT USAGE, SELECT ON SEQUENCE operations_backup_id_seq, operations_backupcheck_id_seq,
  core_auditevent_id_seq, core_heartbeat_id_seq TO fa_backup;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0001_backups"),
        ("core", "0011_stop_asks_sign_ins"),
        ("risk", "0007_proposed_roles"),
        ("trading", "0015_strategy_performance"),
        ("investors", "0015_signed_money"),
        ("account", "0001_initial"),
        ("mfa", "0001_initial"),
    ]
    operations = [
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
        migrations.RunSQL(BACKUP, migrations.RunSQL.noop),
    ]
