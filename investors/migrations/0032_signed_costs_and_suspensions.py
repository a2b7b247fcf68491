"""Suspensions of dealing and running costs take the signature of whoever decides them."""

from django.db import migrations

WORDS = r"""
CREATE FUNCTION investors_say_suspension(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN s.suspends THEN 'Suspend dealing in ' ELSE 'Open dealing again in ' END
      || wall_line(f.name) || ' (' || wall_line(f.code) || ')'
      || E'\n' || CASE WHEN s.suspends THEN 'No order is taken and none is dealt from now on'
        ELSE 'Orders are taken and dealt again from now on' END
      || E'\n' || 'Reason: ' || wall_line(s.reason)
      || E'\n' || 'Holders are told: ' || wall_line(s.notice)
      || E'\n' || 'Proposed by: ' || wall_account(s.proposed_by_id) || ', '
      || wall_when(s.proposed_at) || E'\n' || 'Proposal: ' || s.id
    FROM investors_suspensionproposal s JOIN investors_fund f ON f.id = s.fund_id
    WHERE s.id = p_subject AND s.decided_at IS NULL
$$;

-- What an expense costs and for which days, as it was proposed.
CREATE FUNCTION investors_expense_line(e investors_expense) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE e.account WHEN '5030' THEN 'Administration' WHEN '5040' THEN 'Audit'
        WHEN '5050' THEN 'Custody' WHEN '5060' THEN 'Legal' WHEN '5070' THEN 'Bank charges'
        WHEN '5080' THEN 'Tax expense' ELSE 'Account' END || ' (' || wall_line(e.account)
      || ') by ' || wall_line(e.supplier) || ', ' || wall_line(e.reference)
      || E'\n' || 'Amount: ' || trim_scale(e.amount) || ' ' || wall_line(f.currency)
      || CASE WHEN e.is_yearly THEN ' a year' ELSE '' END || ', from ' || to_char(e.first_day, 'YYYY-MM-DD')
      || coalesce(' to ' || to_char(e.last_day, 'YYYY-MM-DD'), ' until it is ended')
    FROM investors_fund f WHERE f.id = e.fund_id
$$;

CREATE FUNCTION investors_say_expense(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Let each NAV of ' || wall_line(f.name) || ' (' || wall_line(f.code) || ') take a cost: '
      || investors_expense_line(e)
      || E'\n' || 'Proposed by: ' || wall_account(e.proposed_by_id) || ', '
      || wall_when(e.proposed_at) || E'\n' || 'Expense: ' || e.id
    FROM investors_expense e JOIN investors_fund f ON f.id = e.fund_id
    WHERE e.id = p_subject AND e.decided_at IS NULL
$$;

CREATE FUNCTION investors_say_expense_change(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE c.kind WHEN 'end' THEN 'End a cost of ' ELSE 'Take the final invoice of a cost of ' END
      || wall_line(f.name) || ' (' || wall_line(f.code) || '): ' || investors_expense_line(e)
      || E'\n' || CASE c.kind WHEN 'end' THEN 'Its last day: ' || to_char(c.last_day, 'YYYY-MM-DD')
        ELSE 'Invoice ' || wall_line(c.reference) || ', in all: ' || trim_scale(c.amount) || ' '
          || wall_line(f.currency) || ', in place of what was estimated' END
      || E'\n' || 'Proposed by: ' || wall_account(c.proposed_by_id) || ', '
      || wall_when(c.proposed_at) || E'\n' || 'Change: ' || c.id
    FROM investors_expensechange c JOIN investors_expense e ON e.id = c.expense_id
    JOIN investors_fund f ON f.id = e.fund_id
    WHERE c.id = p_subject AND c.decided_at IS NULL AND e.is_approved
$$;
REVOKE ALL ON FUNCTION investors_say_suspension, investors_expense_line, investors_say_expense,
  investors_say_expense_change FROM PUBLIC;
"""

ROUTES = r"""
CREATE OR REPLACE FUNCTION authority_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE split_part(p_action, '.', 1)
    WHEN 'fuse' THEN risk_content(p_action, p_subject)
    WHEN 'limits' THEN risk_content(p_action, p_subject)
    WHEN 'role' THEN core_content(p_action, p_subject)
    WHEN 'account' THEN investors_say_account(p_subject)
    WHEN 'payee' THEN investors_say_payee(p_subject)
    WHEN 'distribution' THEN investors_say_distribution(p_subject)
    WHEN 'terms' THEN investors_say_terms(p_subject)
    WHEN 'restatement' THEN investors_say_restatement(p_subject)
    WHEN 'suspension' THEN investors_say_suspension(p_subject)
    WHEN 'expense' THEN investors_say_expense(p_subject)
    WHEN 'expense_change' THEN investors_say_expense_change(p_subject)
    ELSE investors_content(p_action, p_subject) END
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
    ELSE ARRAY[]::text[] END
$$;
"""

SUSPENSIONS = r"""
-- A controller and a director decide together: one proposes, the other signs, and with that the
-- fund is suspended, or open.
CREATE FUNCTION investors_suspension_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved) <> 0 THEN
      RAISE EXCEPTION 'suspensions: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF num_nonnulls(old.decided_by_id, old.decided_at, old.is_approved) <> 0 THEN
    RAISE EXCEPTION 'suspensions: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved) NOT IN (0, 3) THEN
    RAISE EXCEPTION 'suspensions: a decision has a person and a time'
      USING ERRCODE = 'check_violation';
  END IF;
  IF new.is_approved THEN
    SELECT f.book INTO STRICT book FROM investors_fund f WHERE f.id = old.fund_id;
    PERFORM authority_two_people('suspensions', old.proposed_by_id, new.decided_by_id);
    PERFORM authority_signed('suspension.approve', old.id, new.decided_by_id, book,
      interval '15 minutes');
    IF NOT wall_invents(book) AND (SELECT count(DISTINCT g.role) FROM core_rolegrant g
        WHERE g.user_id IN (old.proposed_by_id, new.decided_by_id) AND g.revoked_at IS NULL
          AND g.role IN ('controller', 'director')) <> 2 THEN
      RAISE EXCEPTION 'suspensions: a controller and a director decide together'
        USING ERRCODE = 'check_violation';
    END IF;
    UPDATE investors_fund SET is_suspended = old.suspends WHERE id = old.fund_id;
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER suspension_signed BEFORE INSERT OR UPDATE ON investors_suspensionproposal
  FOR EACH ROW EXECUTE FUNCTION investors_suspension_signed();
ALTER TABLE investors_suspensionproposal ENABLE ALWAYS TRIGGER suspension_signed;

-- Anyone may close a fund that cannot be priced; only the trigger above, which runs as the owner,
-- opens one. This function runs as whoever asks.
CREATE FUNCTION investors_fund_opened() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = tg_relid), 'USAGE') THEN
    RAISE EXCEPTION 'suspensions: dealing is opened by a decision that two people made'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER fund_opened BEFORE UPDATE ON investors_fund
  FOR EACH ROW WHEN (old.is_suspended AND NOT new.is_suspended)
  EXECUTE FUNCTION investors_fund_opened();
ALTER TABLE investors_fund ENABLE ALWAYS TRIGGER fund_opened;
REVOKE ALL ON FUNCTION investors_suspension_signed, investors_fund_opened FROM PUBLIC;
"""

SUSPENSIONS_BACK = """
DROP FUNCTION investors_suspension_signed() CASCADE;
DROP FUNCTION investors_fund_opened() CASCADE;
"""

EXPENSES = r"""
-- A proposal comes undecided, is decided once, by another human being, on his signature.
CREATE OR REPLACE FUNCTION expense_decided() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.is_approved IS NOT NULL THEN
      RAISE EXCEPTION 'expenses: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.is_approved IS NOT NULL THEN
    RAISE EXCEPTION 'expenses: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF new.is_approved IS NULL THEN
    RETURN new;
  END IF;
  PERFORM authority_two_people('expenses', old.proposed_by_id, new.decided_by_id);
  IF new.is_approved AND tg_table_name = 'investors_expense' THEN
    SELECT f.book INTO STRICT book FROM investors_fund f WHERE f.id = old.fund_id;
    PERFORM authority_signed('expense.approve', old.id, new.decided_by_id, book,
      interval '15 minutes');
  ELSIF new.is_approved THEN
    SELECT f.book INTO STRICT book FROM investors_expense e
      JOIN investors_fund f ON f.id = e.fund_id WHERE e.id = old.expense_id;
    PERFORM authority_signed('expense_change.approve', old.id, new.decided_by_id, book,
      interval '15 minutes');
  END IF;
  RETURN new;
END $$;
"""
EXPENSES_BACK = r"""
CREATE OR REPLACE FUNCTION expense_decided() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'UPDATE' AND old.is_approved IS NOT NULL
     OR tg_op = 'INSERT' AND new.is_approved IS NOT NULL THEN
    RAISE EXCEPTION 'expenses: a decision is fixed' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF tg_op = 'UPDATE' AND new.is_approved IS NOT NULL THEN
    PERFORM authority_two_people('expenses', old.proposed_by_id, new.decided_by_id);
  END IF;
  RETURN new;
END $$;
"""

ROUTES_BACK = (
    "\n".join(
        line for line in ROUTES.splitlines() if "suspension" not in line and "expense" not in line
    )
    + """
DROP FUNCTION investors_say_suspension, investors_say_expense, investors_say_expense_change,
  investors_expense_line;
"""
)


class Migration(migrations.Migration):
    dependencies = [("investors", "0031_restatements")]

    operations = [
        migrations.RunSQL(WORDS, migrations.RunSQL.noop),
        migrations.RunSQL(ROUTES, ROUTES_BACK),
        migrations.RunSQL(SUSPENSIONS, SUSPENSIONS_BACK),
        migrations.RunSQL(EXPENSES, EXPENSES_BACK),
    ]
