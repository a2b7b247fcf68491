"""The role of an adviser, who reads what a holder lets him read; no account of the house has it."""

from django.db import migrations, models

ROLES = [
    ("investor", "investor"),
    ("adviser", "adviser"),
    ("operator", "operator"),
    ("risk_officer", "risk_officer"),
    ("accountant", "accountant"),
    ("controller", "controller"),
    ("compliance", "compliance"),
    ("director", "director"),
    ("coordinator", "coordinator"),
    ("service", "service"),
    ("auditor", "auditor"),
    ("administrator", "administrator"),
]

GUARD = r"""
CREATE OR REPLACE FUNCTION core_role_guard() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'UPDATE' THEN
    IF old.revoked_at IS NOT NULL AND new.revoked_at IS DISTINCT FROM old.revoked_at THEN
      RAISE EXCEPTION 'roles: an ended role stays ended';
    END IF;
    IF new.revoked_at IS DISTINCT FROM old.revoked_at AND old.role NOT IN ('investor', 'adviser')
       AND NOT public.wall_hires() AND NOT public.core_removal_decided(old.user_id, old.role) THEN
      RAISE EXCEPTION 'roles: the role % is taken by a proposal that was decided', old.role
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  -- An adviser is nobody of the house, and nobody of the house is an adviser.
  IF new.role <> 'investor' AND EXISTS (SELECT 1 FROM public.core_rolegrant g
      WHERE g.user_id = new.user_id AND g.revoked_at IS NULL AND g.role <> 'investor'
        AND (g.role = 'adviser') <> (new.role = 'adviser')) THEN
    RAISE EXCEPTION 'roles: an adviser has no role of the house' USING ERRCODE = 'check_violation';
  END IF;
  IF new.role IN ('investor', 'adviser') OR public.wall_hires()
     OR (new.role = 'administrator' AND NOT public.core_has_staff())
     OR public.core_role_decided((SELECT u.email FROM public.core_user u
       WHERE u.id = new.user_id), new.role) THEN
    RETURN new;
  END IF;
  RAISE EXCEPTION 'roles: the role % takes a proposal that was decided', new.role;
END $$;
"""

GUARD_BACK = r"""
CREATE OR REPLACE FUNCTION core_role_guard() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'UPDATE' THEN
    IF old.revoked_at IS NOT NULL AND new.revoked_at IS DISTINCT FROM old.revoked_at THEN
      RAISE EXCEPTION 'roles: an ended role stays ended';
    END IF;
    IF new.revoked_at IS DISTINCT FROM old.revoked_at AND old.role <> 'investor'
       AND NOT public.wall_hires() AND NOT public.core_removal_decided(old.user_id, old.role) THEN
      RAISE EXCEPTION 'roles: the role % is taken by a proposal that was decided', old.role
        USING ERRCODE = 'check_violation';
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
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0017_last_director")]
    operations = [
        migrations.AlterField(
            model_name="rolegrant",
            name="role",
            field=models.CharField(choices=ROLES, max_length=20),
        ),
        migrations.AlterField(
            model_name="roleproposal",
            name="role",
            field=models.CharField(choices=ROLES, max_length=20),
        ),
        migrations.RunSQL(GUARD, GUARD_BACK),
    ]
