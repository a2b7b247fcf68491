"""A sleeve comes or leaves on two people's word, the second of them signed, also for the database."""

from django.db import migrations

SAY = r"""
CREATE FUNCTION trading_say_sleeve(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE p.action WHEN 'add' THEN 'Let the book ' || wall_line(p.book) || ' trade the sleeve '
      ELSE 'Retire from the book ' || wall_line(p.book) || ' the sleeve ' END
    || wall_line(p.code) || ': ' || wall_line(p.name) || E'\n' || 'A trade loses at its stop: '
    || trim_scale(p.risk_fraction * 100) || ' % of equity' || E'\n' || 'Parameters: '
    || wall_line(p.parameters::text) || E'\n' || 'Expected: ' || wall_line(p.expectation)
    || E'\n' || 'Reason: ' || wall_line(p.reason) || E'\n' || 'Proposed by: '
    || wall_account(p.proposed_by_id) || ', ' || wall_when(p.proposed_at)
    || E'\n' || 'Content: ' || p.content_hash || E'\n' || 'Proposal: ' || p.id
    FROM trading_sleeveproposal p WHERE p.id = p_subject
$$;
REVOKE ALL ON FUNCTION trading_say_sleeve FROM PUBLIC;
"""

ROUTES = r"""
CREATE OR REPLACE FUNCTION authority_refusal(p_action text, p_subject uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE kind text := split_part(p_action, '.', 1); said text;
BEGIN
  IF kind = 'role' THEN
    said := coalesce(core_content('role.give', p_subject), core_content('role.take', p_subject));
  ELSIF kind IN ('dealing', 'distribution', 'restatement', 'suspension', 'expense',
      'expense_change', 'sleeve') THEN
    said := authority_content(kind || '.approve', p_subject);
  ELSE
    RAISE EXCEPTION 'signature: % is nothing that is signed', p_action;
  END IF;
  RETURN 'DECLINE what was proposed: ' || said;
END $$;

CREATE OR REPLACE FUNCTION authority_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN p_action LIKE '%.decline' THEN authority_refusal(p_action, p_subject) ELSE
  CASE split_part(p_action, '.', 1)
    WHEN 'fuse' THEN risk_content(p_action, p_subject)
    WHEN 'limits' THEN risk_content(p_action, p_subject)
    WHEN 'role' THEN core_content(p_action, p_subject)
    WHEN 'account' THEN investors_say_account(p_subject)
    WHEN 'payee' THEN investors_say_payee(p_subject)
    WHEN 'dealing' THEN investors_say_dealing(p_subject)
    WHEN 'distribution' THEN investors_say_distribution(p_subject)
    WHEN 'terms' THEN investors_say_terms(p_subject)
    WHEN 'restatement' THEN investors_say_restatement(p_subject)
    WHEN 'suspension' THEN investors_say_suspension(p_subject)
    WHEN 'expense' THEN investors_say_expense(p_subject)
    WHEN 'expense_change' THEN investors_say_expense_change(p_subject)
    WHEN 'sleeve' THEN trading_say_sleeve(p_subject)
    ELSE investors_content(p_action, p_subject) END END
$$;

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
    WHEN 'restatement.approve' THEN ARRAY['controller', 'director']
    WHEN 'suspension.approve' THEN ARRAY['controller', 'director']
    WHEN 'expense.approve' THEN ARRAY['controller']
    WHEN 'expense_change.approve' THEN ARRAY['controller']
    WHEN 'sleeve.approve' THEN ARRAY['risk_officer']
    WHEN 'sleeve.decline' THEN ARRAY['risk_officer']
    WHEN 'role.decline' THEN ARRAY['director']
    WHEN 'dealing.decline' THEN ARRAY['controller', 'director']
    WHEN 'distribution.decline' THEN ARRAY['controller', 'director']
    WHEN 'restatement.decline' THEN ARRAY['accountant', 'controller', 'director']
    WHEN 'suspension.decline' THEN ARRAY['controller', 'director']
    WHEN 'expense.decline' THEN ARRAY['controller']
    WHEN 'expense_change.decline' THEN ARRAY['controller']
    ELSE ARRAY[]::text[] END
$$;
"""

ROUTES_BACK = r"""
CREATE OR REPLACE FUNCTION authority_refusal(p_action text, p_subject uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE kind text := split_part(p_action, '.', 1); said text;
BEGIN
  IF kind = 'role' THEN
    said := coalesce(core_content('role.give', p_subject), core_content('role.take', p_subject));
  ELSIF kind IN ('dealing', 'distribution', 'restatement', 'suspension', 'expense',
      'expense_change') THEN
    said := authority_content(kind || '.approve', p_subject);
  ELSE
    RAISE EXCEPTION 'signature: % is nothing that is signed', p_action;
  END IF;
  RETURN 'DECLINE what was proposed: ' || said;
END $$;

CREATE OR REPLACE FUNCTION authority_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN p_action LIKE '%.decline' THEN authority_refusal(p_action, p_subject) ELSE
  CASE split_part(p_action, '.', 1)
    WHEN 'fuse' THEN risk_content(p_action, p_subject)
    WHEN 'limits' THEN risk_content(p_action, p_subject)
    WHEN 'role' THEN core_content(p_action, p_subject)
    WHEN 'account' THEN investors_say_account(p_subject)
    WHEN 'payee' THEN investors_say_payee(p_subject)
    WHEN 'dealing' THEN investors_say_dealing(p_subject)
    WHEN 'distribution' THEN investors_say_distribution(p_subject)
    WHEN 'terms' THEN investors_say_terms(p_subject)
    WHEN 'restatement' THEN investors_say_restatement(p_subject)
    WHEN 'suspension' THEN investors_say_suspension(p_subject)
    WHEN 'expense' THEN investors_say_expense(p_subject)
    WHEN 'expense_change' THEN investors_say_expense_change(p_subject)
    ELSE investors_content(p_action, p_subject) END END
$$;

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
    WHEN 'restatement.approve' THEN ARRAY['controller', 'director']
    WHEN 'suspension.approve' THEN ARRAY['controller', 'director']
    WHEN 'expense.approve' THEN ARRAY['controller']
    WHEN 'expense_change.approve' THEN ARRAY['controller']
    WHEN 'role.decline' THEN ARRAY['director']
    WHEN 'dealing.decline' THEN ARRAY['controller', 'director']
    WHEN 'distribution.decline' THEN ARRAY['controller', 'director']
    WHEN 'restatement.decline' THEN ARRAY['accountant', 'controller', 'director']
    WHEN 'suspension.decline' THEN ARRAY['controller', 'director']
    WHEN 'expense.decline' THEN ARRAY['controller']
    WHEN 'expense_change.decline' THEN ARRAY['controller']
    ELSE ARRAY[]::text[] END
$$;
"""

WALLS = r"""
CREATE FUNCTION trading_sleeve_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.decision <> '' OR new.decided_by_id IS NOT NULL THEN
      RAISE EXCEPTION 'sleeves: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.decision <> '' THEN
    RAISE EXCEPTION 'sleeves: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF new.decision = 'approved' THEN
    PERFORM authority_two_people('sleeves', old.proposed_by_id, new.decided_by_id);
    PERFORM authority_signed('sleeve.approve', old.id, new.decided_by_id, old.book,
      interval '15 minutes');
  ELSIF new.decision <> '' THEN
    PERFORM authority_signed('sleeve.decline', old.id, new.decided_by_id, old.book,
      interval '15 minutes');
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER sleeve_signed BEFORE INSERT OR UPDATE ON trading_sleeveproposal
  FOR EACH ROW EXECUTE FUNCTION trading_sleeve_signed();
ALTER TABLE trading_sleeveproposal ENABLE ALWAYS TRIGGER sleeve_signed;

-- While the fuse is not armed one officer may set sleeves up: two people arm what they have seen.
CREATE FUNCTION trading_sleeve_decided() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE live text := (SELECT i.live_book FROM risk_wallinstance i);
BEGIN
  IF live IS NULL OR wall_invents(live)
     OR tg_op = 'INSERT' AND risk_fuse_state(live, 'fund') <> 'ARMED' THEN
    RETURN NULL;
  END IF;
  IF tg_op = 'INSERT' AND NOT EXISTS (SELECT 1 FROM trading_sleeveproposal p
      WHERE p.action = 'add' AND p.decision = 'approved' AND p.code = new.code
        AND p.name = new.name AND p.parameters = new.parameters
        AND p.risk_fraction = new.risk_fraction AND NOT EXISTS (
          SELECT 1 FROM trading_sleeveproposal r WHERE r.action = 'retire' AND r.code = p.code
            AND r.decision = 'approved' AND r.decided_at > p.decided_at))
     OR tg_op = 'UPDATE' AND (new.is_active OR NOT EXISTS (SELECT 1 FROM trading_sleeveproposal p
      WHERE p.action = 'retire' AND p.decision = 'approved' AND p.code = new.code)) THEN
    RAISE EXCEPTION 'sleeves: % comes or leaves by the decision of two people', new.code
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER sleeve_decided AFTER INSERT OR UPDATE OF is_active ON trading_strategy
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trading_sleeve_decided();
ALTER TABLE trading_strategy ENABLE ALWAYS TRIGGER sleeve_decided;
REVOKE ALL ON FUNCTION trading_sleeve_signed, trading_sleeve_decided FROM PUBLIC;
"""
WALLS_BACK = """
DROP FUNCTION trading_sleeve_signed() CASCADE;
DROP FUNCTION trading_sleeve_decided() CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [
        # It says anew what all signatures are about, after the last that did.
        ("investors", "0039_signed_dealings"),
        ("trading", "0028_terms_that_tighten"),
    ]
    operations = [
        migrations.RunSQL(SAY + ROUTES, ROUTES_BACK + "DROP FUNCTION trading_say_sleeve;"),
        migrations.RunSQL(WALLS, WALLS_BACK),
    ]
