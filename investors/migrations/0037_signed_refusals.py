"""A refusal takes the signature that an approval takes: nobody declines in another's name."""

from django.db import migrations

WORDS = r"""
-- What is declined is said in the words in which it would be approved.
CREATE FUNCTION authority_refusal(p_action text, p_subject uuid) RETURNS text
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
REVOKE ALL ON FUNCTION authority_refusal FROM PUBLIC;

CREATE OR REPLACE FUNCTION authority_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN p_action LIKE '%.decline' THEN authority_refusal(p_action, p_subject) ELSE
  CASE split_part(p_action, '.', 1)
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

ROUTES_BACK = r"""
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
DROP FUNCTION authority_refusal;
"""

DECISIONS = r"""
CREATE OR REPLACE FUNCTION investors_transfer_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text := (SELECT f.book FROM investors_shareclass c
  JOIN investors_fund f ON f.id = c.fund_id WHERE c.id = new.share_class_id);
BEGIN
  IF tg_op = 'UPDATE' AND old.decided_at IS NOT NULL AND (new.decided_by_id, new.decided_at,
      new.is_approved) IS DISTINCT FROM (old.decided_by_id, old.decided_at, old.is_approved) THEN
    RAISE EXCEPTION 'dealing: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF new.kind = 'transfer' AND NOT new.is_approved THEN
    IF tg_op = 'INSERT' THEN
      RAISE EXCEPTION 'dealing: it is proposed first' USING ERRCODE = 'check_violation';
    ELSIF old.is_approved IS NULL THEN
      PERFORM authority_two_people('dealing', old.proposed_by_id, new.decided_by_id);
      PERFORM authority_signed('dealing.decline', old.id, new.decided_by_id, book,
        interval '15 minutes');
    END IF;
  END IF;
  IF new.kind = 'transfer' AND new.is_approved THEN
    IF tg_op = 'INSERT' OR (SELECT u.person FROM core_user u WHERE u.id = new.decided_by_id)
       IS NOT DISTINCT FROM (SELECT u.person FROM core_user u WHERE u.id = old.proposed_by_id) THEN
      RAISE EXCEPTION 'units: a transfer is proposed by one and decided by another person'
        USING ERRCODE = 'check_violation';
    END IF;
    IF old.is_approved IS NULL THEN
      PERFORM authority_signed('dealing.approve', old.id, new.decided_by_id, book,
        interval '15 minutes');
    END IF;
  END IF;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION investors_distribution_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.decided_by_id IS NOT NULL OR new.decided_at IS NOT NULL OR new.is_approved IS NOT NULL
       OR new.total IS NOT NULL OR new.lowers_marks_by IS NOT NULL THEN
      RAISE EXCEPTION 'distributions: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.is_approved IS NOT NULL THEN
    RAISE EXCEPTION 'distributions: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF new.is_approved THEN
    SELECT f.book, s.state, coalesce((SELECT sum(x.units)
        FROM investors_held_at(old.share_class_id, s.valuation_at) x), 0) AS units
      INTO r FROM investors_shareclass c JOIN investors_fund f ON f.id = c.fund_id
      JOIN investors_navstrike s ON s.id = old.strike_id AND s.fund_id = f.id
      WHERE c.id = old.share_class_id;
    PERFORM authority_two_people('distributions', old.proposed_by_id, new.decided_by_id);
    PERFORM authority_signed('distribution.approve', old.id, new.decided_by_id, r.book,
      interval '15 minutes');
    IF r.state IS DISTINCT FROM 'dealt' OR r.units = 0
       OR new.total > coalesce(old.amount, old.per_unit * r.units)
       OR new.lowers_marks_by > coalesce(old.per_unit, old.amount / r.units) THEN
      RAISE EXCEPTION 'distributions: more than was signed' USING ERRCODE = 'check_violation';
    END IF;
  ELSIF NOT new.is_approved THEN
    PERFORM authority_two_people('distributions', old.proposed_by_id, new.decided_by_id);
    PERFORM authority_signed('distribution.decline', old.id, new.decided_by_id,
      (SELECT f.book FROM investors_shareclass c JOIN investors_fund f ON f.id = c.fund_id
        WHERE c.id = old.share_class_id), interval '15 minutes');
  END IF;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION investors_restatement_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.approved_by_id IS NOT NULL OR new.directed_by_id IS NOT NULL
       OR new.declined_at IS NOT NULL OR new.booked_at IS NOT NULL THEN
      RAISE EXCEPTION 'restatements: it is prepared first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.booked_at IS NOT NULL OR old.declined_at IS NOT NULL
     OR old.approved_by_id IS NOT NULL AND new.approved_by_id IS DISTINCT FROM old.approved_by_id
     OR old.directed_by_id IS NOT NULL AND new.directed_by_id IS DISTINCT FROM old.directed_by_id
  THEN
    RAISE EXCEPTION 'restatements: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  SELECT f.book INTO STRICT book FROM investors_fund f WHERE f.id = old.fund_id;
  IF new.approved_by_id IS NOT NULL AND old.approved_by_id IS NULL THEN
    PERFORM authority_two_people('restatements', old.prepared_by_id, new.approved_by_id);
    PERFORM authority_signed('restatement.approve', old.id, new.approved_by_id, book,
      interval '15 minutes');
    PERFORM investors_holds_role(new.approved_by_id, 'controller', book);
  END IF;
  IF new.directed_by_id IS NOT NULL AND old.directed_by_id IS NULL THEN
    PERFORM authority_two_people('restatements', old.prepared_by_id, new.directed_by_id);
    PERFORM authority_signed('restatement.approve', old.id, new.directed_by_id, book,
      interval '15 minutes');
    PERFORM investors_holds_role(new.directed_by_id, 'director', book);
  END IF;
  IF new.approved_by_id IS NOT NULL AND new.directed_by_id IS NOT NULL THEN
    PERFORM authority_two_people('restatements', new.approved_by_id, new.directed_by_id);
  ELSIF new.booked_at IS NOT NULL THEN
    RAISE EXCEPTION 'restatements: two signatures come before the booking'
      USING ERRCODE = 'check_violation';
  END IF;
  IF new.declined_at IS NOT NULL OR new.declined_by_id IS NOT NULL THEN
    PERFORM authority_signed('restatement.decline', old.id, new.declined_by_id, book,
      interval '15 minutes');
  END IF;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION investors_suspension_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fund record; newest record; since timestamptz; until timestamptz;
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
  IF new.is_approved IS NULL THEN
    RETURN new;
  END IF;
  SELECT f.* INTO STRICT fund FROM investors_fund f WHERE f.id = old.fund_id;
  PERFORM authority_two_people('suspensions', old.proposed_by_id, new.decided_by_id);
  IF NOT new.is_approved THEN
    PERFORM authority_signed('suspension.decline', old.id, new.decided_by_id, fund.book,
      interval '15 minutes');
    RETURN new;
  END IF;
  PERFORM authority_signed('suspension.approve', old.id, new.decided_by_id, fund.book,
    interval '15 minutes');
  IF NOT wall_invents(fund.book) AND (SELECT count(DISTINCT g.role) FROM core_rolegrant g
      WHERE g.user_id IN (old.proposed_by_id, new.decided_by_id) AND g.revoked_at IS NULL
        AND g.role IN ('controller', 'director')) <> 2 THEN
    RAISE EXCEPTION 'suspensions: a controller and a director decide together'
      USING ERRCODE = 'check_violation';
  END IF;
  UPDATE investors_fund SET is_suspended = old.suspends WHERE id = old.fund_id;
  IF old.suspends THEN
    RETURN new;
  END IF;
  SELECT s.suspends AND NOT old.from_last_nav AS counts, s.decided_at INTO newest FROM investors_suspensionproposal s
    WHERE s.fund_id = old.fund_id AND s.is_approved AND s.id <> old.id
    ORDER BY s.decided_at DESC LIMIT 1;
  -- A fund that an earlier version closed by itself was open until its newest NAV.
  since := CASE WHEN newest.counts THEN newest.decided_at ELSE coalesce((
    SELECT max(n.valuation_at) FROM investors_navstrike n
      WHERE n.fund_id = old.fund_id AND n.state = 'dealt'), fund.inception) END;
  until := CASE WHEN wall_invents(fund.book) THEN new.decided_at
    ELSE least(new.decided_at, clock_timestamp()) END;
  UPDATE investors_dealingday SET is_suspended = true
    WHERE fund_id = old.fund_id AND valuation_at > since AND valuation_at <= until;
  RETURN new;
END $$;

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
  IF tg_table_name = 'investors_expense' THEN
    SELECT f.book INTO STRICT book FROM investors_fund f WHERE f.id = old.fund_id;
    PERFORM authority_signed(CASE WHEN new.is_approved THEN 'expense.approve'
        ELSE 'expense.decline' END, old.id, new.decided_by_id, book,
      interval '15 minutes');
  ELSE
    SELECT f.book INTO STRICT book FROM investors_expense e
      JOIN investors_fund f ON f.id = e.fund_id WHERE e.id = old.expense_id;
    PERFORM authority_signed(CASE WHEN new.is_approved THEN 'expense_change.approve'
        ELSE 'expense_change.decline' END, old.id, new.decided_by_id, book,
      interval '15 minutes');
  END IF;
  RETURN new;
END $$;
"""

DECISIONS_BACK = r"""
CREATE OR REPLACE FUNCTION investors_transfer_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text := (SELECT f.book FROM investors_shareclass c
  JOIN investors_fund f ON f.id = c.fund_id WHERE c.id = new.share_class_id);
BEGIN
  IF new.kind = 'transfer' AND new.is_approved THEN
    IF tg_op = 'INSERT' OR (SELECT u.person FROM core_user u WHERE u.id = new.decided_by_id)
       IS NOT DISTINCT FROM (SELECT u.person FROM core_user u WHERE u.id = old.proposed_by_id) THEN
      RAISE EXCEPTION 'units: a transfer is proposed by one and decided by another person'
        USING ERRCODE = 'check_violation';
    END IF;
    IF old.is_approved IS NULL THEN
      PERFORM authority_signed('dealing.approve', old.id, new.decided_by_id, book,
        interval '15 minutes');
    END IF;
  END IF;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION investors_distribution_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.decided_by_id IS NOT NULL OR new.decided_at IS NOT NULL OR new.is_approved IS NOT NULL
       OR new.total IS NOT NULL OR new.lowers_marks_by IS NOT NULL THEN
      RAISE EXCEPTION 'distributions: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.is_approved IS NOT NULL THEN
    RAISE EXCEPTION 'distributions: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF new.is_approved THEN
    SELECT f.book, s.state, coalesce((SELECT sum(x.units)
        FROM investors_held_at(old.share_class_id, s.valuation_at) x), 0) AS units
      INTO r FROM investors_shareclass c JOIN investors_fund f ON f.id = c.fund_id
      JOIN investors_navstrike s ON s.id = old.strike_id AND s.fund_id = f.id
      WHERE c.id = old.share_class_id;
    PERFORM authority_two_people('distributions', old.proposed_by_id, new.decided_by_id);
    PERFORM authority_signed('distribution.approve', old.id, new.decided_by_id, r.book,
      interval '15 minutes');
    IF r.state IS DISTINCT FROM 'dealt' OR r.units = 0
       OR new.total > coalesce(old.amount, old.per_unit * r.units)
       OR new.lowers_marks_by > coalesce(old.per_unit, old.amount / r.units) THEN
      RAISE EXCEPTION 'distributions: more than was signed' USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION investors_restatement_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.approved_by_id IS NOT NULL OR new.directed_by_id IS NOT NULL
       OR new.declined_at IS NOT NULL OR new.booked_at IS NOT NULL THEN
      RAISE EXCEPTION 'restatements: it is prepared first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.booked_at IS NOT NULL OR old.declined_at IS NOT NULL
     OR old.approved_by_id IS NOT NULL AND new.approved_by_id IS DISTINCT FROM old.approved_by_id
     OR old.directed_by_id IS NOT NULL AND new.directed_by_id IS DISTINCT FROM old.directed_by_id
  THEN
    RAISE EXCEPTION 'restatements: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  SELECT f.book INTO STRICT book FROM investors_fund f WHERE f.id = old.fund_id;
  IF new.approved_by_id IS NOT NULL AND old.approved_by_id IS NULL THEN
    PERFORM authority_two_people('restatements', old.prepared_by_id, new.approved_by_id);
    PERFORM authority_signed('restatement.approve', old.id, new.approved_by_id, book,
      interval '15 minutes');
    PERFORM investors_holds_role(new.approved_by_id, 'controller', book);
  END IF;
  IF new.directed_by_id IS NOT NULL AND old.directed_by_id IS NULL THEN
    PERFORM authority_two_people('restatements', old.prepared_by_id, new.directed_by_id);
    PERFORM authority_signed('restatement.approve', old.id, new.directed_by_id, book,
      interval '15 minutes');
    PERFORM investors_holds_role(new.directed_by_id, 'director', book);
  END IF;
  IF new.approved_by_id IS NOT NULL AND new.directed_by_id IS NOT NULL THEN
    PERFORM authority_two_people('restatements', new.approved_by_id, new.directed_by_id);
  ELSIF new.booked_at IS NOT NULL THEN
    RAISE EXCEPTION 'restatements: two signatures come before the booking'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION investors_suspension_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fund record; newest record; since timestamptz; until timestamptz;
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
  IF NOT coalesce(new.is_approved, false) THEN
    RETURN new;
  END IF;
  SELECT f.* INTO STRICT fund FROM investors_fund f WHERE f.id = old.fund_id;
  PERFORM authority_two_people('suspensions', old.proposed_by_id, new.decided_by_id);
  PERFORM authority_signed('suspension.approve', old.id, new.decided_by_id, fund.book,
    interval '15 minutes');
  IF NOT wall_invents(fund.book) AND (SELECT count(DISTINCT g.role) FROM core_rolegrant g
      WHERE g.user_id IN (old.proposed_by_id, new.decided_by_id) AND g.revoked_at IS NULL
        AND g.role IN ('controller', 'director')) <> 2 THEN
    RAISE EXCEPTION 'suspensions: a controller and a director decide together'
      USING ERRCODE = 'check_violation';
  END IF;
  UPDATE investors_fund SET is_suspended = old.suspends WHERE id = old.fund_id;
  IF old.suspends THEN
    RETURN new;
  END IF;
  SELECT s.suspends AND NOT old.from_last_nav AS counts, s.decided_at INTO newest FROM investors_suspensionproposal s
    WHERE s.fund_id = old.fund_id AND s.is_approved AND s.id <> old.id
    ORDER BY s.decided_at DESC LIMIT 1;
  -- A fund that an earlier version closed by itself was open until its newest NAV.
  since := CASE WHEN newest.counts THEN newest.decided_at ELSE coalesce((
    SELECT max(n.valuation_at) FROM investors_navstrike n
      WHERE n.fund_id = old.fund_id AND n.state = 'dealt'), fund.inception) END;
  until := CASE WHEN wall_invents(fund.book) THEN new.decided_at
    ELSE least(new.decided_at, clock_timestamp()) END;
  UPDATE investors_dealingday SET is_suspended = true
    WHERE fund_id = old.fund_id AND valuation_at > since AND valuation_at <= until;
  RETURN new;
END $$;

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


class Migration(migrations.Migration):
    dependencies = [
        # It says anew what all signatures are about, after the last that did.
        ("core", "0013_signed_removals"),
        ("investors", "0036_flows_and_payments"),
    ]
    operations = [
        migrations.RunSQL(WORDS, ROUTES_BACK),
        migrations.RunSQL(DECISIONS, DECISIONS_BACK),
    ]
