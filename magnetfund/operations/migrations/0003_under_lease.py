"""A trader that was replaced writes nothing more of its book."""

from django.db import migrations

TABLES = (
    "core_heartbeat",
    "risk_fusememory",
    "risk_fusetransition",
    "risk_reservation",
    "trading_bookmember",
    "trading_bookmemory",
    "trading_enginetransition",
    "trading_fill",
    "trading_fundingpayment",
    "trading_magnet",
    "trading_order",
    "trading_orderevent",
    "trading_paperevent",
    "trading_paperorder",
    "trading_papervenuestate",
    "trading_position",
    "trading_proposal",
    "trading_reconciliation",
    "trading_signal",
    "trading_trade",
    "trading_valuation",
)

WALLS = """
CREATE FUNCTION wall_lease() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE held text := current_setting('magnetfund.lease', true);
BEGIN
  IF coalesce(held, '') = '' THEN
    RETURN NULL;
  END IF;
  PERFORM 1 FROM core_lease l WHERE l.name = split_part(held, ' ', 1)
    AND l.token = split_part(held, ' ', 2)::bigint FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'lease: % was taken over', held USING ERRCODE = '55000';
  END IF;
  RETURN NULL;
END $$;
""" + "".join(
    f"""
CREATE TRIGGER under_lease BEFORE INSERT OR UPDATE OR DELETE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION wall_lease();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER under_lease;
"""
    for table in TABLES
)


class Migration(migrations.Migration):
    dependencies = [("operations", "0002_roles_of_their_own")]
    operations = [migrations.RunSQL(WALLS, migrations.RunSQL.noop)]
