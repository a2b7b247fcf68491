"""A change of roles is declined on the director's signature too, and a decision stays."""

from django.db import migrations

GUARD = r"""
CREATE OR REPLACE FUNCTION core_role_signed() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF public.wall_hires() THEN
    RETURN new;
  END IF;
  IF tg_op = 'UPDATE' AND old.decided_at IS NOT NULL AND (new.decided_by_id, new.decided_at,
      new.is_approved) IS DISTINCT FROM (old.decided_by_id, old.decided_at, old.is_approved) THEN
    RAISE EXCEPTION 'roles: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF NOT new.is_approved AND (tg_op = 'INSERT' OR new.decided_by_id IS NULL) THEN
    RAISE EXCEPTION 'roles: it is proposed first, and a person declines'
      USING ERRCODE = 'check_violation';
  END IF;
  IF new.is_approved IS NOT NULL AND new.decided_by_id IS NOT NULL THEN
    IF tg_op = 'INSERT' THEN
      RAISE EXCEPTION 'roles: it is proposed first and decided by another person'
        USING ERRCODE = 'check_violation';
    END IF;
    PERFORM public.core_require_role(CASE WHEN NOT new.is_approved THEN 'role.decline'
      WHEN old.is_grant THEN 'role.give' ELSE 'role.take' END, old.id, new.decided_by_id);
  END IF;
  RETURN new;
END $$;
"""

BACK = r"""
CREATE OR REPLACE FUNCTION core_role_signed() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF new.is_approved AND new.decided_by_id IS NOT NULL AND NOT public.wall_hires() THEN
    IF tg_op = 'INSERT' THEN
      RAISE EXCEPTION 'roles: it is proposed first and decided by another person'
        USING ERRCODE = 'check_violation';
    END IF;
    PERFORM public.core_require_role(CASE WHEN old.is_grant THEN 'role.give' ELSE 'role.take' END,
      old.id, new.decided_by_id);
  END IF;
  RETURN new;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0014_beats_of_the_trader"),
        ("investors", "0037_signed_refusals"),
    ]
    operations = [migrations.RunSQL(GUARD, BACK)]
