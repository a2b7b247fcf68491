"""A NAV is approved and a payment leaves on signatures of people, whatever role asks for it."""

from django.db import migrations

CONTENT = r"""
CREATE OR REPLACE FUNCTION investors_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  IF p_action = 'nav.approve' THEN
    SELECT s.*, f.code AS fund_code, f.name AS fund_name, f.currency INTO r
      FROM investors_navstrike s JOIN investors_fund f ON f.id = s.fund_id WHERE s.id = p_subject;
    IF NOT FOUND THEN RETURN NULL; END IF;
    RETURN 'Approve this NAV and deal its orders: ' || wall_line(r.fund_name) || ' ('
      || wall_line(r.fund_code) || ')' || E'\n' || 'Valued at: ' || wall_when(r.valuation_at)
      || ', version ' || r.version || E'\n' || 'NAV: ' || trim_scale(r.nav) || ' ' || r.currency
      || E'\n' || 'Gross assets: ' || trim_scale(r.gross_assets) || ' ' || r.currency
      || E'\n' || 'Prepared by: ' || wall_account(r.prepared_by_id) || ', '
      || wall_when(r.prepared_at) || E'\n' || 'Result: ' || r.result_hash
      || E'\n' || 'Strike: ' || r.id;
  ELSIF p_action = 'payment.approve' THEN
    SELECT p.*, f.code AS fund_code INTO r FROM investors_payment p
      JOIN investors_fund f ON f.id = p.fund_id WHERE p.id = p_subject;
    IF NOT FOUND THEN RETURN NULL; END IF;
    RETURN 'Pay ' || trim_scale(r.amount) || ' ' || wall_line(r.currency) || ' out of the fund '
      || wall_line(r.fund_code) || ' (' || r.kind || ')' || E'\n' || 'To: ' || wall_line(r.to_name)
      || E'\n' || 'Account: ' || wall_line(r.to_number) || ' ' || wall_line(r.to_bank)
      || E'\n' || 'Text: ' || wall_line(r.text) || E'\n' || 'Prepared by: '
      || wall_account(r.prepared_by_id) || ', ' || wall_when(r.prepared_at)
      || E'\n' || 'Content: ' || r.content_hash || E'\n' || 'Payment: ' || r.number || ', ' || r.id;
  END IF;
  RAISE EXCEPTION 'signature: % is nothing that is signed', p_action;
END $$;

-- As before, and what is no act of risk is one of the fund's administration.
CREATE OR REPLACE FUNCTION authority_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record; said text;
BEGIN
  IF p_action = 'fuse.arm' THEN
    SELECT * INTO r FROM risk_fusereset x WHERE x.id = p_subject;
    IF NOT FOUND THEN RETURN NULL; END IF;
    said := 'Arm the fund: orders of book ' || r.book || ' may add exposure again.' || E'\n'
      || 'Requested by: ' || wall_account(r.proposed_by_id) || ', ' || wall_when(r.proposed_at)
      || E'\n' || 'Reason: ' || wall_line(r.reason) || E'\n' || 'Clean reconciliation: '
      || wall_line(r.reconciliation);
    said := said || coalesce((SELECT string_agg(E'\n' || 'Ends the stop of '
        || wall_when(e.occurred_at) || ': ' || e.kind || ' ' || e.trigger || ' ' || wall_line(e.reason)
        || ' [' || e.id || ']', '' ORDER BY e.occurred_at, e.id)
      FROM risk_fuseevent e WHERE e.id = ANY (r.stops)), E'\n' || 'No stop is open.');
    RETURN said || E'\n' || 'Request: ' || r.id;
  ELSIF p_action = 'limits.set' THEN
    SELECT * INTO r FROM risk_limitproposal x WHERE x.id = p_subject;
    IF NOT FOUND THEN RETURN NULL; END IF;
    said := 'Put these limits of book ' || r.book || ' in force from '
      || wall_when(r.effective_from) || E'\n' || 'Proposed by: ' || wall_account(r.proposed_by_id)
      || ', ' || wall_when(r.proposed_at) || E'\n' || 'Reason: ' || wall_line(r.reason);
    said := said || coalesce((SELECT string_agg(E'\n' || wall_line(f.key) || ': '
        || coalesce(wall_line(f.value), 'none'), '' ORDER BY f.key)
      FROM jsonb_each_text(r.figures) f), '');
    RETURN said || E'\n' || 'Proposal: ' || r.id;
  END IF;
  RETURN investors_content(p_action, p_subject);
END $$;
"""

GUARDS = """
CREATE OR REPLACE FUNCTION investors_nav_signed() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF old.state = 'prepared' AND new.state = 'approved' THEN
    PERFORM authority_signed('nav.approve', old.id, new.approved_by_id,
      (SELECT f.book FROM investors_fund f WHERE f.id = old.fund_id), interval '15 minutes');
  END IF;
  RETURN new;
END $$;
DROP TRIGGER IF EXISTS nav_strike_signed ON investors_navstrike;
CREATE TRIGGER nav_strike_signed BEFORE UPDATE ON investors_navstrike
  FOR EACH ROW EXECUTE FUNCTION investors_nav_signed();
ALTER TABLE investors_navstrike ENABLE ALWAYS TRIGGER nav_strike_signed;

CREATE OR REPLACE FUNCTION investors_payment_signed() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text := (SELECT f.book FROM investors_fund f WHERE f.id = new.fund_id);
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.state <> 'prepared' OR new.approved_by_id IS NOT NULL OR new.directed_by_id IS NOT NULL
       OR new.file_id IS NOT NULL OR new.confirmed_at IS NOT NULL THEN
      RAISE EXCEPTION 'payment: it is prepared first and approved by another person'
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF new.state <> old.state AND (old.state, new.state) NOT IN (('prepared', 'approved'),
      ('prepared', 'cancelled'), ('approved', 'released'), ('approved', 'cancelled'),
      ('released', 'confirmed'), ('released', 'returned'), ('confirmed', 'returned')) THEN
    RAISE EXCEPTION 'payment: % to % is refused', old.state, new.state
        USING ERRCODE = 'check_violation';
  END IF;
  IF new.approved_by_id IS DISTINCT FROM old.approved_by_id THEN
    IF old.approved_by_id IS NOT NULL THEN
      RAISE EXCEPTION 'payment: the approval is fixed'
        USING ERRCODE = 'check_violation';
    END IF;
    IF (SELECT u.person FROM core_user u WHERE u.id = new.approved_by_id) IN (
         SELECT u.person FROM core_user u WHERE u.id IN (old.prepared_by_id, old.directed_by_id))
    THEN
      RAISE EXCEPTION 'payment: the approver is the same person as another signer'
        USING ERRCODE = 'check_violation';
    END IF;
    PERFORM authority_signed('payment.approve', old.id, new.approved_by_id, book,
      interval '15 minutes');
  END IF;
  IF new.directed_by_id IS DISTINCT FROM old.directed_by_id THEN
    IF old.directed_by_id IS NOT NULL THEN
      RAISE EXCEPTION 'payment: the approval is fixed'
        USING ERRCODE = 'check_violation';
    END IF;
    IF (SELECT u.person FROM core_user u WHERE u.id = new.directed_by_id) IN (
         SELECT u.person FROM core_user u WHERE u.id IN (old.prepared_by_id, new.approved_by_id))
    THEN
      RAISE EXCEPTION 'payment: the director is one of the others'
        USING ERRCODE = 'check_violation';
    END IF;
    PERFORM authority_signed('payment.approve', old.id, new.directed_by_id, book,
      interval '15 minutes');
  END IF;
  RETURN new;
END $$;
DROP TRIGGER IF EXISTS payment_signed ON investors_payment;
CREATE TRIGGER payment_signed BEFORE INSERT OR UPDATE ON investors_payment
  FOR EACH ROW EXECUTE FUNCTION investors_payment_signed();
ALTER TABLE investors_payment ENABLE ALWAYS TRIGGER payment_signed;

REVOKE ALL ON FUNCTION investors_content FROM PUBLIC;
"""

NOOP = migrations.RunSQL.noop
#: The functions stay: nothing else calls them.
WITHOUT = """
DROP TRIGGER IF EXISTS nav_strike_signed ON investors_navstrike;
DROP TRIGGER IF EXISTS payment_signed ON investors_payment;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0014_messages"), ("risk", "0006_staff_roles")]
    operations = [migrations.RunSQL(CONTENT, NOOP), migrations.RunSQL(GUARDS, WITHOUT)]
