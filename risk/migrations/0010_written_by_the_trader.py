"""What only the trader knows is written by the trader alone; a fuse's memory by nobody."""

from django.db import migrations

WALL = r"""
-- The suite and the database of a replay have no trader beside them.
CREATE FUNCTION wall_by_trader() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT pg_has_role(current_user, 'fa_gateway', 'USAGE') AND NOT EXISTS (
      SELECT 1 FROM public.risk_wallinstance i WHERE i.kind IN ('test', 'scratch')) THEN
    RAISE EXCEPTION 'trader: % is written by the trader alone', tg_table_name
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN new;
END $$;
REVOKE INSERT, UPDATE ON risk_fusememory FROM fa_app, fa_gateway;
"""
BACK = """
DROP FUNCTION wall_by_trader() CASCADE;
GRANT INSERT, UPDATE (snapshot, gauges, updated_at) ON risk_fusememory TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0009_one_person")]
    operations = [migrations.RunSQL(WALL, BACK)]
