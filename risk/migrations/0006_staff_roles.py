"""Roles of the staff and staff accounts are made by the owner's role alone; an ended role stays so."""

from django.db import migrations

GUARDS = """
-- Whether this step is one of the owner's, of the suite, or of a story that is being told.
CREATE FUNCTION wall_hires() RETURNS boolean
  LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT pg_has_role(current_user, (SELECT c.relowner FROM pg_class c
      WHERE c.oid = 'public.core_rolegrant'::regclass), 'USAGE')
    OR EXISTS (SELECT 1 FROM public.risk_wallinstance i WHERE i.kind = 'test')
    OR (EXISTS (SELECT 1 FROM public.risk_scenarioclock c WHERE c.closed_at IS NULL)
      AND EXISTS (SELECT 1 FROM public.risk_wallinstance i WHERE i.kind IN ('demo', 'scratch')))
$$;

CREATE FUNCTION core_role_guard() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'UPDATE' THEN
    IF old.revoked_at IS NOT NULL AND new.revoked_at IS DISTINCT FROM old.revoked_at THEN
      RAISE EXCEPTION 'roles: an ended role stays ended';
    END IF;
    RETURN new;
  END IF;
  IF new.role <> 'investor' AND NOT public.wall_hires() THEN
    RAISE EXCEPTION 'roles: the role % is given at the console (manage.py add_person)', new.role;
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER role_guard BEFORE INSERT OR UPDATE ON core_rolegrant
  FOR EACH ROW EXECUTE FUNCTION core_role_guard();
ALTER TABLE core_rolegrant ENABLE ALWAYS TRIGGER role_guard;

CREATE OR REPLACE FUNCTION core_no_superuser() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF new.is_superuser AND NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class c
       WHERE c.oid = 'public.core_user'::regclass), 'USAGE') THEN
    RAISE EXCEPTION 'accounts: no part of the platform makes a superuser';
  END IF;
  IF tg_op = 'INSERT' AND new.is_staff AND NOT public.wall_hires() THEN
    RAISE EXCEPTION 'accounts: a staff account is made at the console (manage.py add_person)';
  END IF;
  RETURN new;
END $$;

REVOKE ALL ON FUNCTION wall_hires FROM PUBLIC;
GRANT EXECUTE ON FUNCTION wall_hires TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0005_signed_authority"), ("trading", "0011_authority")]
    operations = [migrations.RunSQL(GUARDS, migrations.RunSQL.noop)]
