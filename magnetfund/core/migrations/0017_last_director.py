"""The last director stays active: without one, an administrator's proposals need no second person."""

from django.db import migrations

WALLS = r"""
CREATE FUNCTION core_last_director() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF public.wall_hires() THEN
    RETURN new;
  END IF;
  -- One after the other, as changes of roles: two at once would each see the other director.
  PERFORM pg_advisory_xact_lock(7012, 0);
  IF NOT old.is_simulated AND EXISTS (SELECT 1 FROM public.core_rolegrant g
      WHERE g.user_id = old.id AND g.role = 'director' AND g.revoked_at IS NULL)
     AND NOT EXISTS (SELECT 1 FROM public.core_rolegrant g JOIN public.core_user u ON u.id = g.user_id
      WHERE g.role = 'director' AND g.revoked_at IS NULL AND u.id <> old.id AND u.is_active
        AND NOT u.is_simulated) THEN
    RAISE EXCEPTION 'accounts: the last director stays active' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
REVOKE ALL ON FUNCTION core_last_director FROM PUBLIC;
CREATE TRIGGER last_director BEFORE UPDATE ON core_user
  FOR EACH ROW WHEN (old.is_active AND NOT new.is_active) EXECUTE FUNCTION core_last_director();
ALTER TABLE core_user ENABLE ALWAYS TRIGGER last_director;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0016_audit_by_number"),
        ("risk", "0009_one_person"),
    ]
    operations = [migrations.RunSQL(WALLS, "DROP FUNCTION core_last_director() CASCADE")]
