"""What writes rows by the thousand lets the planner count them, before the server does by itself."""

from django.db import migrations

FORWARD = r"""
-- Within the minute until the server counts what was written, the planner takes a full table for an
-- empty one, and reads all orders of a sleeve where it wants the open ones.
CREATE FUNCTION core_refresh_statistics(p_tables regclass[]) RETURNS void LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE named regclass;
BEGIN
  FOREACH named IN ARRAY p_tables LOOP
    EXECUTE format('ANALYZE %s', named);
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION core_refresh_statistics FROM PUBLIC;
GRANT EXECUTE ON FUNCTION core_refresh_statistics TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0018_advisers")]
    operations = [
        migrations.RunSQL(FORWARD, "DROP FUNCTION core_refresh_statistics(regclass[])"),
    ]
