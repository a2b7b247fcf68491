"""A holder keeps the account that he was given: nobody hands his portal to another one."""

from django.db import migrations

WALL = r"""
CREATE FUNCTION investors_account_kept() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT public.wall_hires() THEN
    RAISE EXCEPTION 'investors: a holder keeps his account' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER account_kept BEFORE UPDATE ON investors_investor
  FOR EACH ROW WHEN (old.user_id IS NOT NULL AND new.user_id IS DISTINCT FROM old.user_id)
  EXECUTE FUNCTION investors_account_kept();
ALTER TABLE investors_investor ENABLE ALWAYS TRIGGER account_kept;
REVOKE ALL ON FUNCTION investors_account_kept FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0056_pocket_proceeds")]
    operations = [migrations.RunSQL(WALL, "DROP FUNCTION investors_account_kept() CASCADE")]
