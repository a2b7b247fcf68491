"""Accounts, distributions and terms take the approver's signature; who signs holds the role for it."""

from django.db import migrations

ROLES = r"""
-- Which roles may sign what, as magnetfund/core/roles.py says it; a test compares the two.
CREATE FUNCTION authority_roles(p_action text) RETURNS text[]
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE p_action
    WHEN 'fuse.arm' THEN ARRAY['risk_officer', 'director']
    WHEN 'limits.set' THEN ARRAY['risk_officer']
    WHEN 'nav.approve' THEN ARRAY['controller']
    WHEN 'payment.approve' THEN ARRAY['controller', 'director']
    WHEN 'kyc.approve' THEN ARRAY['compliance', 'director']
    WHEN 'role.give' THEN ARRAY['director']
    WHEN 'dealing.approve' THEN ARRAY['controller', 'director']
    WHEN 'account.approve' THEN ARRAY['controller']
    WHEN 'payee.approve' THEN ARRAY['controller']
    WHEN 'distribution.approve' THEN ARRAY['controller', 'director']
    WHEN 'terms.approve' THEN ARRAY['controller']
    ELSE ARRAY[]::text[] END
$$;

-- Raises unless the account signed exactly this, recently enough, and holds a role for it now.
CREATE OR REPLACE FUNCTION authority_signed(
    p_action text, p_subject uuid, p_account uuid, p_book text, p_age interval) RETURNS void
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF wall_invents(p_book) THEN
    RETURN;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM core_signature s WHERE s.action = p_action
       AND s.subject = p_subject AND s.account = p_account
       AND s.content = authority_content(p_action, p_subject)
       AND s.signed_at > clock_timestamp() - p_age
       AND (s.method <> 'demo' OR EXISTS (SELECT 1 FROM risk_wallinstance i
         WHERE i.kind = 'demo'))) THEN
    RAISE EXCEPTION 'signature: % has not signed this', wall_account(p_account)
      USING DETAIL = p_account::text;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM core_rolegrant g JOIN core_user u ON u.id = g.user_id
       WHERE g.user_id = p_account AND g.revoked_at IS NULL AND u.is_active
         AND g.role = ANY (authority_roles(p_action))) THEN
    RAISE EXCEPTION 'roles: % holds no role that signs this', wall_account(p_account)
      USING ERRCODE = 'check_violation';
  END IF;
END $$;

-- Raises unless both are people, and two of them.
CREATE FUNCTION authority_two_people(p_what text, p_maker uuid, p_checker uuid) RETURNS void
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF (SELECT count(DISTINCT u.person) FROM core_user u WHERE u.id IN (p_maker, p_checker)) <> 2 THEN
    RAISE EXCEPTION '%: it is proposed by one and approved by another person', p_what
      USING ERRCODE = 'check_violation';
  END IF;
END $$;
"""

WORDS = r"""
-- Units of each holder of a class after the dealing at an instant.
CREATE FUNCTION investors_held_at(p_class bigint, p_at timestamptz)
  RETURNS TABLE (investor_id uuid, units numeric)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT h.investor_id, sum(u.units) FROM investors_unitentry u
    JOIN investors_unitlot l ON l.id = u.lot_id JOIN investors_holding h ON h.id = l.holding_id
    WHERE l.share_class_id = p_class AND u.effective_at <= p_at
    GROUP BY h.investor_id HAVING sum(u.units) > 0
$$;

CREATE FUNCTION investors_say_account(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Receive money of the fund ' || wall_line(f.name) || ' (' || wall_line(f.code)
      || ') on this account: ' || wall_line(a.number) || E'\n' || 'Bank or chain: '
      || wall_line(a.bank) || ', ' || a.kind || ', ' || wall_line(a.currency)
      || CASE WHEN a.kind = 'wallet' THEN ', final after ' || a.confirmations || ' confirmations'
        ELSE '' END
      || coalesce((SELECT string_agg(E'\n' || 'In use beside it: ' || wall_line(o.number), ''
          ORDER BY o.number) FROM investors_fundaccount o WHERE o.fund_id = a.fund_id
          AND o.approved_at IS NOT NULL AND o.closed_at IS NULL), '')
      || E'\n' || 'Proposed by: ' || wall_account(a.opened_by_id) || ', ' || wall_when(a.opened_at)
      || E'\n' || 'Account: ' || wall_line(a.code) || ', ' || a.id
    FROM investors_fundaccount a JOIN investors_fund f ON f.id = a.fund_id
    WHERE a.id = p_subject AND a.closed_at IS NULL AND a.approved_at IS NULL
$$;

CREATE FUNCTION investors_say_payee(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Let the fund ' || wall_line(f.code) || ' pay this account: ' || wall_line(a.number)
      || ' ' || wall_line(a.bank) || E'\n' || 'In the name of: ' || wall_line(a.name) || ', '
      || a.kind || ', ' || wall_line(a.currency) || E'\n' || 'Belongs to: '
      || coalesce('investor ' || wall_line(i.legal_name) || ' (' || wall_line(i.number) || ')',
        'a supplier or the manager')
      || coalesce((SELECT string_agg(E'\n' || 'Paid until now on: ' || wall_line(o.number), ''
          ORDER BY o.number) FROM investors_payeeaccount o WHERE o.fund_id = a.fund_id
          AND o.approved_at IS NOT NULL AND o.closed_at IS NULL
          AND (o.investor_id = a.investor_id
            OR a.investor_id IS NULL AND o.investor_id IS NULL AND o.name = a.name)), '')
      || E'\n' || 'Proved by: ' || wall_line(a.evidence) || E'\n' || 'Proposed by: '
      || wall_account(a.added_by_id) || ', ' || wall_when(a.added_at) || E'\n' || 'Account: ' || a.id
    FROM investors_payeeaccount a JOIN investors_fund f ON f.id = a.fund_id
    LEFT JOIN investors_investor i ON i.id = a.investor_id
    WHERE a.id = p_subject AND a.closed_at IS NULL AND a.approved_at IS NULL
$$;

CREATE FUNCTION investors_say_distribution(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Distribute ' || CASE WHEN d.per_unit IS NULL THEN trim_scale(d.amount) || ' '
        || wall_line(f.currency) || ' in all' ELSE trim_scale(d.per_unit) || ' '
        || wall_line(f.currency) || ' per unit' END || ' to the holders of class '
      || wall_line(c.code) || ' of ' || wall_line(f.name) || ' (' || wall_line(f.code) || ')'
      || E'\n' || 'Held at the NAV of ' || wall_when(s.valuation_at) || ', version ' || s.version
      || ': ' || coalesce(trim_scale(h.units), 0) || ' units, by ' || h.holders || ' holders'
      || E'\n' || 'Paid in ' || CASE WHEN d.is_in_units THEN 'new units' ELSE 'cash' END
      || CASE WHEN d.exceptions <> '[]' THEN ', the other way to '
        || (SELECT string_agg(wall_line(e), ', ' ORDER BY e)
          FROM jsonb_array_elements_text(d.exceptions) e) ELSE '' END
      || E'\n' || 'Reason: ' || wall_line(d.reason) || E'\n' || 'Proposed by: '
      || wall_account(d.proposed_by_id) || ', ' || wall_when(d.proposed_at)
      || E'\n' || 'Distribution: ' || d.id
    FROM investors_distribution d JOIN investors_shareclass c ON c.id = d.share_class_id
    JOIN investors_fund f ON f.id = c.fund_id JOIN investors_navstrike s ON s.id = d.strike_id,
    LATERAL (SELECT sum(x.units) AS units, count(*) AS holders
      FROM investors_held_at(d.share_class_id, s.valuation_at) x) h
    WHERE d.id = p_subject AND d.decided_at IS NULL
$$;

CREATE FUNCTION investors_say_terms(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Put these terms of class ' || wall_line(c.code) || ' of ' || wall_line(f.name) || ' ('
      || wall_line(f.code) || ') in force from ' || wall_when(p.effective_from)
      || E'\n' || 'Launch price: ' || trim_scale(c.launch_price) || ' ' || wall_line(f.currency)
      || coalesce((SELECT string_agg(E'\n' || wall_line(t.key) || ': '
          || coalesce(wall_line(t.value), 'none'), '' ORDER BY t.key)
        FROM jsonb_each_text(p.terms) t), '')
      || E'\n' || 'Reason: ' || wall_line(p.reason) || E'\n' || 'Proposed by: '
      || wall_account(p.proposed_by_id) || ', ' || wall_when(p.proposed_at)
      || E'\n' || 'Content: ' || p.content_hash || E'\n' || 'Proposal: ' || p.id
    FROM investors_termsproposal p JOIN investors_shareclass c ON c.id = p.share_class_id
    JOIN investors_fund f ON f.id = c.fund_id
    WHERE p.id = p_subject AND p.policy_id IS NULL AND p.withdrawn_at IS NULL
$$;

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
    ELSE investors_content(p_action, p_subject) END
$$;
"""

ACCOUNTS = r"""
-- Where money of the fund is taken: proposed by one, signed by another person, closed for good.
CREATE FUNCTION investors_account_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text := (SELECT f.book FROM investors_fund f WHERE f.id = new.fund_id);
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.approved_by_id IS NOT NULL OR new.approved_at IS NOT NULL OR new.closed_at IS NOT NULL
    THEN
      RAISE EXCEPTION 'accounts: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.closed_at IS NOT NULL THEN
    RAISE EXCEPTION 'accounts: a closed one stays closed' USING ERRCODE = 'check_violation';
  END IF;
  IF (new.approved_by_id, new.approved_at) IS DISTINCT FROM (old.approved_by_id, old.approved_at)
  THEN
    IF old.approved_by_id IS NOT NULL THEN
      RAISE EXCEPTION 'accounts: the approval is fixed' USING ERRCODE = 'check_violation';
    END IF;
    PERFORM authority_two_people('accounts', old.opened_by_id, new.approved_by_id);
    PERFORM authority_signed('account.approve', old.id, new.approved_by_id, book,
      interval '15 minutes');
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER account_signed BEFORE INSERT OR UPDATE ON investors_fundaccount
  FOR EACH ROW EXECUTE FUNCTION investors_account_signed();
ALTER TABLE investors_fundaccount ENABLE ALWAYS TRIGGER account_signed;

-- Where money of the fund goes; details that replace others wait out the fund's cooling-off.
CREATE FUNCTION investors_payee_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.approved_by_id IS NOT NULL OR new.approved_at IS NOT NULL OR new.closed_at IS NOT NULL
       OR new.usable_from IS NOT NULL THEN
      RAISE EXCEPTION 'accounts: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.closed_at IS NOT NULL THEN
    RAISE EXCEPTION 'accounts: a closed one stays closed' USING ERRCODE = 'check_violation';
  END IF;
  IF (new.approved_by_id, new.approved_at, new.usable_from)
     IS DISTINCT FROM (old.approved_by_id, old.approved_at, old.usable_from) THEN
    IF old.approved_by_id IS NOT NULL THEN
      RAISE EXCEPTION 'accounts: the approval is fixed' USING ERRCODE = 'check_violation';
    END IF;
    SELECT f.book, CASE WHEN EXISTS (SELECT 1 FROM investors_payeeaccount o
        WHERE o.fund_id = old.fund_id AND o.approved_at IS NOT NULL
          AND (o.investor_id = old.investor_id
            OR old.investor_id IS NULL AND o.investor_id IS NULL AND o.name = old.name))
        THEN f.cooling_off_days ELSE 0 END AS days
      INTO r FROM investors_fund f WHERE f.id = old.fund_id;
    PERFORM authority_two_people('accounts', old.added_by_id, new.approved_by_id);
    PERFORM authority_signed('payee.approve', old.id, new.approved_by_id, r.book,
      interval '15 minutes');
    IF NOT wall_invents(r.book) AND (new.usable_from IS NULL OR new.usable_from
        < clock_timestamp() - interval '1 minute' + make_interval(days => r.days)) THEN
      RAISE EXCEPTION 'accounts: changed details are used after % days', r.days
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER payee_signed BEFORE INSERT OR UPDATE ON investors_payeeaccount
  FOR EACH ROW EXECUTE FUNCTION investors_payee_signed();
ALTER TABLE investors_payeeaccount ENABLE ALWAYS TRIGGER payee_signed;
"""

DISTRIBUTIONS = r"""
CREATE FUNCTION investors_distribution_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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
CREATE TRIGGER distribution_signed BEFORE INSERT OR UPDATE ON investors_distribution
  FOR EACH ROW EXECUTE FUNCTION investors_distribution_signed();
ALTER TABLE investors_distribution ENABLE ALWAYS TRIGGER distribution_signed;

-- A holder is owed his share by units and no more: one cash step above it at most, by rounding.
CREATE OR REPLACE FUNCTION investors_orders_distributed() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM investors_dealingorder o
      JOIN investors_distribution d ON d.id = o.distribution_id
      WHERE d.id IN (SELECT a.distribution_id FROM added a)
      GROUP BY d.id, d.total HAVING sum(o.amount) > d.total) THEN
    RAISE EXCEPTION 'orders: more than the distribution' USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (
      WITH said AS MATERIALIZED (SELECT d.id, d.total, d.share_class_id, s.valuation_at,
          coalesce((SELECT (p.terms ->> 'cash_quantum')::numeric
            FROM investors_classpolicyversion p WHERE p.share_class_id = d.share_class_id
              AND p.effective_from <= s.valuation_at ORDER BY p.version DESC LIMIT 1), 0.01) AS step
        FROM investors_distribution d JOIN investors_navstrike s ON s.id = d.strike_id
        WHERE d.id IN (SELECT a.distribution_id FROM added a)),
      held AS MATERIALIZED (SELECT d.id, h.investor_id, h.units,
          sum(h.units) OVER (PARTITION BY d.id) AS issued
        FROM said d, LATERAL investors_held_at(d.share_class_id, d.valuation_at) h)
      SELECT 1 FROM said d JOIN investors_dealingorder o ON o.distribution_id = d.id
        LEFT JOIN held ON held.id = d.id AND held.investor_id = o.investor_id
        GROUP BY d.id, d.total, d.step, o.investor_id, held.units, held.issued
        HAVING held.units IS NULL OR sum(o.amount) > d.total * held.units / held.issued + d.step)
  THEN
    RAISE EXCEPTION 'orders: more than the units of the holder' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;

-- Marks fall by a distribution that is decided in the same transaction, once, by what it says.
CREATE FUNCTION investors_marks_distributed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM investors_entry e
       JOIN investors_distribution d ON e.source_ref = 'distribution_declared:' || d.id
       WHERE e.id = new.entry_id AND d.is_approved AND new.high_water_mark
         >= coalesce((SELECT u.high_water_mark FROM investors_unitentry u
           WHERE u.lot_id = new.lot_id AND u.id < new.id ORDER BY u.id DESC LIMIT 1), 0)
         - d.lowers_marks_by)
     OR (SELECT count(*) FROM investors_unitentry u WHERE u.lot_id = new.lot_id
       AND u.entry_id = new.entry_id) <> 1 THEN
    RAISE EXCEPTION 'units: a mark falls by a decided distribution, once'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER distributed_marks AFTER INSERT ON investors_unitentry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.kind = 'distribution')
  EXECUTE FUNCTION investors_marks_distributed();
ALTER TABLE investors_unitentry ENABLE ALWAYS TRIGGER distributed_marks;
"""

TERMS = r"""
-- Terms in force are those of a proposal that another person signed.
CREATE FUNCTION investors_terms_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE f record; r record;
BEGIN
  SELECT x.* INTO f FROM investors_shareclass c JOIN investors_fund x ON x.id = c.fund_id
    WHERE c.id = new.share_class_id;
  IF wall_invents(f.book) THEN
    RETURN new;
  END IF;
  SELECT p.* INTO r FROM investors_termsproposal p WHERE p.share_class_id = new.share_class_id
    AND p.policy_id IS NULL AND p.withdrawn_at IS NULL AND p.terms = new.terms
    AND p.effective_from = new.effective_from AND p.proposed_by_id = new.proposed_by_id
    ORDER BY p.proposed_at LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'terms: they are proposed first' USING ERRCODE = 'check_violation';
  END IF;
  PERFORM authority_two_people('terms', r.proposed_by_id, new.approved_by_id);
  PERFORM authority_signed('terms.approve', r.id, new.approved_by_id, f.book,
    interval '15 minutes');
  IF new.version <> 1 + coalesce((SELECT max(p.version) FROM investors_classpolicyversion p
       WHERE p.share_class_id = new.share_class_id), 0) THEN
    RAISE EXCEPTION 'terms: versions follow one another' USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM investors_navstrike s WHERE s.fund_id = f.id AND s.state = 'dealt'
       AND s.valuation_at >= new.effective_from) THEN
    RAISE EXCEPTION 'terms: they take effect after the last NAV' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER terms_signed BEFORE INSERT ON investors_classpolicyversion
  FOR EACH ROW EXECUTE FUNCTION investors_terms_signed();
ALTER TABLE investors_classpolicyversion ENABLE ALWAYS TRIGGER terms_signed;
"""

GRANTS = """
REVOKE ALL ON FUNCTION authority_roles, authority_two_people, investors_held_at,
  investors_say_account, investors_say_payee, investors_say_distribution, investors_say_terms,
  investors_account_signed, investors_payee_signed, investors_distribution_signed,
  investors_marks_distributed, investors_terms_signed FROM PUBLIC;
"""

WITHOUT = r"""
DROP FUNCTION investors_account_signed() CASCADE;
DROP FUNCTION investors_payee_signed() CASCADE;
DROP FUNCTION investors_distribution_signed() CASCADE;
DROP FUNCTION investors_marks_distributed() CASCADE;
DROP FUNCTION investors_terms_signed() CASCADE;
CREATE OR REPLACE FUNCTION investors_orders_distributed() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM investors_dealingorder o
      JOIN investors_distribution d ON d.id = o.distribution_id
      WHERE d.id IN (SELECT a.distribution_id FROM added a)
      GROUP BY d.id, d.total HAVING sum(o.amount) > d.total) THEN
    RAISE EXCEPTION 'orders: more than the distribution' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION authority_signed(
    p_action text, p_subject uuid, p_account uuid, p_book text, p_age interval) RETURNS void
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF wall_invents(p_book) THEN
    RETURN;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM core_signature s WHERE s.action = p_action
       AND s.subject = p_subject AND s.account = p_account
       AND s.content = authority_content(p_action, p_subject)
       AND s.signed_at > clock_timestamp() - p_age
       AND (s.method <> 'demo' OR EXISTS (SELECT 1 FROM risk_wallinstance i
         WHERE i.kind = 'demo'))) THEN
    RAISE EXCEPTION 'signature: % has not signed this', wall_account(p_account)
      USING DETAIL = p_account::text;
  END IF;
END $$;
CREATE OR REPLACE FUNCTION authority_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE split_part(p_action, '.', 1)
    WHEN 'fuse' THEN risk_content(p_action, p_subject)
    WHEN 'limits' THEN risk_content(p_action, p_subject)
    WHEN 'role' THEN core_content(p_action, p_subject)
    ELSE investors_content(p_action, p_subject) END
$$;
DROP FUNCTION investors_say_account, investors_say_payee, investors_say_distribution,
  investors_say_terms, investors_held_at, authority_two_people, authority_roles;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0023_papers_of_a_nav"), ("risk", "0009_one_person")]
    operations = [
        migrations.RunSQL(ROLES + WORDS + ACCOUNTS + DISTRIBUTIONS + TERMS + GRANTS, WITHOUT)
    ]
