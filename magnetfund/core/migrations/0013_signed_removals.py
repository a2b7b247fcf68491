"""A staff role is taken on the director's signature too, and an address keeps its proposals."""

from django.db import migrations

WORDS = r"""
CREATE OR REPLACE FUNCTION authority_roles(p_action text) RETURNS text[]
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE p_action
    WHEN 'fuse.arm' THEN ARRAY['risk_officer', 'director']
    WHEN 'limits.set' THEN ARRAY['risk_officer']
    WHEN 'nav.approve' THEN ARRAY['controller']
    WHEN 'payment.approve' THEN ARRAY['controller', 'director']
    WHEN 'kyc.approve' THEN ARRAY['compliance', 'director']
    WHEN 'role.give' THEN ARRAY['director']
    WHEN 'role.take' THEN ARRAY['director']
    WHEN 'dealing.approve' THEN ARRAY['controller', 'director']
    WHEN 'account.approve' THEN ARRAY['controller']
    WHEN 'payee.approve' THEN ARRAY['controller']
    WHEN 'distribution.approve' THEN ARRAY['controller', 'director']
    WHEN 'terms.approve' THEN ARRAY['controller']
    ELSE ARRAY[]::text[] END
$$;

CREATE OR REPLACE FUNCTION core_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  IF p_action NOT IN ('role.give', 'role.take') THEN
    RAISE EXCEPTION 'signature: % is nothing that is signed', p_action;
  END IF;
  SELECT * INTO r FROM core_roleproposal p WHERE p.id = p_subject
    AND p.is_grant = (p_action = 'role.give');
  IF NOT FOUND THEN RETURN NULL; END IF;
  RETURN CASE WHEN r.is_grant THEN 'Give the role ' || wall_line(r.role) || ' to '
      ELSE 'Take the role ' || wall_line(r.role) || ' from ' END || wall_line(r.name) || ' <'
    || wall_line(r.email) || '>' || E'\n' || 'Reason: ' || wall_line(r.reason) || E'\n'
    || 'Proposed by: ' || wall_account(r.proposed_by_id) || ', ' || wall_when(r.proposed_at)
    || E'\n' || 'Proposal: ' || r.id;
END $$;
"""

GUARDS = r"""
CREATE FUNCTION core_require_role(p_action text, p_proposal uuid, p_decider uuid) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT authority_signed(p_action, p_proposal, p_decider, '', interval '15 minutes')
$$;
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
DROP FUNCTION core_require_role(uuid, uuid);

-- Whether a director has just decided that this account loses the role; or an administrator, while
-- there is no director.
CREATE FUNCTION core_removal_decided(p_user uuid, p_role text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM core_roleproposal p JOIN core_user u ON lower(u.email) = lower(p.email)
    JOIN core_user maker ON maker.id = p.proposed_by_id
    LEFT JOIN core_user checker ON checker.id = p.decided_by_id
    WHERE u.id = p_user AND p.role = p_role AND NOT p.is_grant AND p.is_approved
      AND abs(extract(epoch FROM clock_timestamp() - p.decided_at)) < 300
      AND EXISTS (SELECT 1 FROM core_rolegrant g WHERE g.user_id = maker.id
        AND g.role = 'administrator' AND g.revoked_at IS NULL)
      AND CASE WHEN checker.id IS NULL THEN NOT EXISTS (SELECT 1 FROM core_rolegrant g
            JOIN core_user d ON d.id = g.user_id
            WHERE g.role = 'director' AND g.revoked_at IS NULL AND d.is_active
              AND NOT d.is_simulated)
          ELSE checker.person <> maker.person END)
$$;

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

-- A proposal names a person by an address: while it waits or is carried out, no account takes or
-- leaves that address.
CREATE FUNCTION core_address_kept() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM core_roleproposal p
      WHERE lower(p.email) IN (lower(old.email), lower(new.email)) AND (p.decided_at IS NULL
        OR abs(extract(epoch FROM clock_timestamp() - p.decided_at)) < 600)) THEN
    RAISE EXCEPTION 'accounts: a change of roles names this address'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER address_kept BEFORE UPDATE ON core_user
  FOR EACH ROW WHEN (lower(new.email) <> lower(old.email))
  EXECUTE FUNCTION core_address_kept();
ALTER TABLE core_user ENABLE ALWAYS TRIGGER address_kept;

REVOKE ALL ON FUNCTION core_require_role, core_removal_decided, core_address_kept FROM PUBLIC;
GRANT EXECUTE ON FUNCTION core_require_role, core_removal_decided TO fa_app, fa_gateway;
"""

WITHOUT = r"""
DROP FUNCTION core_address_kept() CASCADE;
CREATE FUNCTION core_require_role(p_proposal uuid, p_decider uuid) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT authority_signed('role.give', p_proposal, p_decider, '', interval '15 minutes')
$$;
REVOKE ALL ON FUNCTION core_require_role(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION core_require_role(uuid, uuid) TO fa_app, fa_gateway;
CREATE OR REPLACE FUNCTION core_role_signed() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF new.is_approved AND new.is_grant AND new.decided_by_id IS NOT NULL
     AND NOT public.wall_hires() THEN
    IF tg_op = 'INSERT' THEN
      RAISE EXCEPTION 'roles: it is proposed first and decided by another person'
        USING ERRCODE = 'check_violation';
    END IF;
    PERFORM public.core_require_role(old.id, new.decided_by_id);
  END IF;
  RETURN new;
END $$;
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
DROP FUNCTION core_require_role(text, uuid, uuid);
DROP FUNCTION core_removal_decided;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0012_names_in_the_plural"),
        ("investors", "0024_signed_accounts"),
        ("risk", "0009_one_person"),
    ]
    operations = [migrations.RunSQL(WORDS + GUARDS, WITHOUT)]
