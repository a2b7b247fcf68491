"""Dealing for a holder takes the signature of whoever decides, whatever the kind; so does declining."""

from django.db import migrations

SAY = r"""
-- What is signed for a holder's dealing; a transfer keeps the words that it had.
CREATE FUNCTION investors_say_dealing(p_subject uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  SELECT p.*, c.code, i.code AS into_code, f.code AS fund_code, f.currency, h.number AS holder
    INTO r FROM investors_dealingproposal p
    JOIN investors_shareclass c ON c.id = p.share_class_id
    JOIN investors_fund f ON f.id = c.fund_id
    JOIN investors_investor h ON h.id = p.investor_id
    LEFT JOIN investors_shareclass i ON i.id = p.into_class_id WHERE p.id = p_subject;
  IF NOT FOUND THEN RETURN NULL; END IF;
  IF r.kind = 'transfer' THEN
    RETURN investors_content('dealing.approve', p_subject);
  END IF;
  RETURN CASE r.kind WHEN 'subscription' THEN 'Subscribe for holder '
      WHEN 'redemption' THEN 'Redeem for holder ' WHEN 'switch' THEN 'Switch for holder '
      ELSE 'Redeem without his instruction from holder ' END || wall_line(r.holder)
    || ' of the fund ' || wall_line(r.fund_code) || E'\n' || 'Class: ' || wall_line(r.code)
    || coalesce(' into class ' || wall_line(r.into_code), '') || E'\n' || 'How much: '
    || CASE WHEN r.amount IS NOT NULL THEN trim_scale(r.amount) || ' ' || r.currency
      WHEN r.units IS NOT NULL THEN trim_scale(r.units) || ' units' ELSE 'all units' END
    || E'\n' || 'Instruction: ' || wall_line(r.instruction) || E'\n' || 'Called back: '
    || wall_line(r.called_back) || E'\n' || 'Notice to the holder: ' || wall_line(r.notice)
    || E'\n' || 'Reason: ' || wall_line(r.reason) || E'\n' || 'Proposed by: '
    || wall_account(r.proposed_by_id) || ', ' || wall_when(r.proposed_at)
    || E'\n' || 'Proposal: ' || r.id;
END $$;
REVOKE ALL ON FUNCTION investors_say_dealing FROM PUBLIC;
"""

ROUTES = r"""
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
"""
ROUTES_BACK = ROUTES.replace("    WHEN 'dealing' THEN investors_say_dealing(p_subject)\n", "")

SIGNED = r"""
CREATE OR REPLACE FUNCTION investors_transfer_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text := (SELECT f.book FROM investors_shareclass c
  JOIN investors_fund f ON f.id = c.fund_id WHERE c.id = new.share_class_id);
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved, new.order_id, new.value) <> 0
    THEN
      RAISE EXCEPTION 'dealing: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.decided_at IS NOT NULL AND (new.decided_by_id, new.decided_at, new.is_approved,
      new.order_id, new.value) IS DISTINCT FROM (old.decided_by_id, old.decided_at,
      old.is_approved, old.order_id, old.value) THEN
    RAISE EXCEPTION 'dealing: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved) NOT IN (0, 3)
     OR new.order_id IS NOT NULL AND new.decided_at IS NULL THEN
    RAISE EXCEPTION 'dealing: a decision has a person and a time'
      USING ERRCODE = 'check_violation';
  END IF;
  IF new.decided_at IS NULL OR old.decided_at IS NOT NULL THEN
    RETURN new;
  END IF;
  PERFORM authority_two_people('dealing', old.proposed_by_id, new.decided_by_id);
  PERFORM authority_signed(CASE WHEN new.is_approved THEN 'dealing.approve'
    ELSE 'dealing.decline' END, old.id, new.decided_by_id, book, interval '15 minutes');
  IF new.is_approved AND new.kind = 'compulsory' AND NOT wall_invents(book)
     AND (SELECT count(DISTINCT g.role) FROM core_rolegrant g
      WHERE g.user_id IN (old.proposed_by_id, new.decided_by_id) AND g.revoked_at IS NULL
        AND g.role IN ('controller', 'director')) <> 2 THEN
    RAISE EXCEPTION 'dealing: a controller and a director decide together'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
"""

SIGNED_BACK = r"""
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
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0038_entries_have_sources"),
        # The newest that says who signs what.
        ("core", "0015_signed_refusals"),
    ]
    operations = [
        migrations.RunSQL(
            SAY + ROUTES + SIGNED,
            SIGNED_BACK + ROUTES_BACK + "DROP FUNCTION investors_say_dealing;",
        )
    ]
