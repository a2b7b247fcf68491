"""A staff role takes a proposal that was decided: by a director, or at once while there is none.

The first administrator of an empty home needs nobody.
"""

from django.db import migrations

GUARDS = """
CREATE OR REPLACE FUNCTION core_role_decided(p_email text, p_role text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM core_roleproposal p JOIN core_user maker ON maker.id = p.proposed_by_id
    LEFT JOIN core_user checker ON checker.id = p.decided_by_id
    WHERE lower(p.email) = lower(p_email) AND p.role = coalesce(p_role, p.role)
      AND p.is_grant AND p.is_approved
      AND abs(extract(epoch FROM clock_timestamp() - p.decided_at)) < 300
      AND EXISTS (SELECT 1 FROM core_rolegrant g WHERE g.user_id = maker.id
        AND g.role = 'administrator' AND g.revoked_at IS NULL)
      AND CASE WHEN checker.id IS NULL THEN NOT EXISTS (SELECT 1 FROM core_rolegrant g
            JOIN core_user u ON u.id = g.user_id
            WHERE g.role = 'director' AND g.revoked_at IS NULL AND u.is_active
              AND NOT u.is_simulated)
          ELSE checker.person <> maker.person AND EXISTS (SELECT 1 FROM core_rolegrant g
            WHERE g.user_id = checker.id AND g.role = 'director' AND g.revoked_at IS NULL) END)
$$;

CREATE OR REPLACE FUNCTION core_has_staff() RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM core_rolegrant g WHERE g.role <> 'investor')
$$;

CREATE OR REPLACE FUNCTION core_role_guard() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'UPDATE' THEN
    IF old.revoked_at IS NOT NULL AND new.revoked_at IS DISTINCT FROM old.revoked_at THEN
      RAISE EXCEPTION 'roles: an ended role stays ended';
    END IF;
    RETURN new;
  END IF;
  IF new.role = 'investor' OR public.wall_hires()
     OR (new.role = 'administrator' AND NOT public.core_has_staff())
     OR public.core_role_decided((SELECT u.email FROM public.core_user u
       WHERE u.id = new.user_id), new.role) THEN
    RETURN new;
  END IF;
  RAISE EXCEPTION 'roles: the role % takes a proposal that was decided', new.role;
END $$;

CREATE OR REPLACE FUNCTION core_no_superuser() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF new.is_superuser AND NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class c
       WHERE c.oid = 'public.core_user'::regclass), 'USAGE') THEN
    RAISE EXCEPTION 'accounts: no part of the platform makes a superuser';
  END IF;
  IF tg_op = 'INSERT' AND new.is_staff AND NOT public.wall_hires() AND public.core_has_staff()
     AND NOT public.core_role_decided(new.email, NULL) THEN
    RAISE EXCEPTION 'accounts: a staff account takes a proposal that was decided';
  END IF;
  RETURN new;
END $$;

REVOKE ALL ON FUNCTION core_role_decided, core_has_staff FROM PUBLIC;
GRANT EXECUTE ON FUNCTION core_role_decided, core_has_staff TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0006_staff_roles"), ("core", "0009_role_proposals")]
    operations = [migrations.RunSQL(GUARDS, migrations.RunSQL.noop)]
