"""Rebates of the manager's fees: agreed by two people, accrued by NAVs, paid once to the holder."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

SAY = r"""
CREATE FUNCTION investors_say_rebate(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Give back fees of ' || wall_line(f.name) || ' (' || wall_line(f.code) || '), class '
      || wall_line(c.code) || ', to ' || wall_line(h.legal_name) || ' (holder '
      || wall_line(h.number) || ')' || E'\n' || 'Of the management fee: '
      || trim_scale(r.management_share * 100) || ' %' || E'\n' || 'Of the performance fee: '
      || trim_scale(r.performance_share * 100) || ' %' || E'\n' || 'From: '
      || to_char(r.first_day, 'YYYY-MM-DD') || ', in place of any agreement before' || E'\n'
      || 'Letter: ' || wall_line(r.reference) || E'\n' || 'Proposed by: '
      || wall_account(r.proposed_by_id) || ', ' || wall_when(r.proposed_at)
      || E'\n' || 'Rebate: ' || r.id
    FROM investors_rebate r JOIN investors_investor h ON h.id = r.investor_id
    JOIN investors_shareclass c ON c.id = r.share_class_id
    JOIN investors_fund f ON f.id = c.fund_id
    WHERE r.id = p_subject AND r.decided_at IS NULL
$$;
REVOKE ALL ON FUNCTION investors_say_rebate FROM PUBLIC;
"""

WALLS = r"""
REVOKE ALL ON "investors_rebate" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_rebate" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_rebate" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved", "reason") ON "investors_rebate"
  TO fa_app, fa_gateway;

-- It comes undecided, is decided once by another person's signature, and never for days that a NAV
-- has counted.
CREATE FUNCTION investors_rebate_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fund record;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved) <> 0 THEN
      RAISE EXCEPTION 'rebates: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.is_approved IS NOT NULL THEN
    RAISE EXCEPTION 'rebates: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF new.is_approved IS NULL THEN
    RETURN new;
  END IF;
  SELECT f.id, f.book INTO STRICT fund FROM investors_shareclass c
    JOIN investors_fund f ON f.id = c.fund_id WHERE c.id = old.share_class_id;
  PERFORM authority_two_people('rebates', old.proposed_by_id, new.decided_by_id);
  PERFORM authority_signed(CASE WHEN new.is_approved THEN 'rebate.approve'
    ELSE 'rebate.decline' END, old.id, new.decided_by_id, fund.book, interval '15 minutes');
  IF new.is_approved AND EXISTS (SELECT 1 FROM investors_navstrike s WHERE s.fund_id = fund.id
      AND s.state IN ('approved', 'dealt')
      AND ((s.valuation_at - interval '1 microsecond') AT TIME ZONE 'UTC')::date >= old.first_day)
  THEN
    RAISE EXCEPTION 'rebates: a NAV has counted its first day' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER rebate_signed BEFORE INSERT OR UPDATE ON "investors_rebate"
  FOR EACH ROW EXECUTE FUNCTION investors_rebate_signed();
ALTER TABLE "investors_rebate" ENABLE ALWAYS TRIGGER rebate_signed;

-- What is wrong with an entry of rebates; null where nothing is.
CREATE FUNCTION investors_rebate_fault(e investors_entry) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF e.kind = 'fee_rebate' THEN
    IF EXISTS (SELECT 1 FROM investors_posting p WHERE p.entry_id = e.id
        AND (p.share_class <> split_part(e.source_ref, ':', 3) OR p.account_id = '2160'
          AND (p.amount > 0 OR NOT EXISTS (SELECT 1 FROM investors_unitlot l
            JOIN investors_holding h ON h.id = l.holding_id
            JOIN investors_rebate r ON r.investor_id = h.investor_id
              AND r.share_class_id = l.share_class_id AND r.is_approved
              AND r.first_day <= (e.effective_at AT TIME ZONE 'UTC')::date
            WHERE l.id = p.lot)))) THEN
      RETURN 'to a holder with whom nothing is agreed';
    END IF;
    IF (SELECT coalesce(sum(p.amount), 0) FROM investors_posting p
          WHERE p.entry_id = e.id AND p.account_id = '2100')
        > (SELECT n.management_fee FROM investors_classnav n
          JOIN investors_shareclass c ON c.id = n.share_class_id
          WHERE n.strike_id = investors_entry_subject(e.source_ref, 2)
            AND c.code = split_part(e.source_ref, ':', 3))
      OR (SELECT coalesce(sum(p.amount), 0) FROM investors_posting p
          WHERE p.entry_id = e.id AND p.account_id = '2120')
        > (SELECT coalesce(-sum(p.amount), 0) FROM investors_posting p
          JOIN investors_entry x ON x.id = p.entry_id
          WHERE x.fund_id = e.fund_id AND x.effective_at = e.effective_at
            AND x.kind <> 'fee_rebate' AND investors_entry_deals(x)
            AND p.account_id = '2120' AND p.share_class = split_part(e.source_ref, ':', 3)) THEN
      RETURN 'of more than the class was charged';
    END IF;
  ELSIF e.kind = 'rebate_paid' THEN
    IF EXISTS (SELECT 1 FROM investors_posting p WHERE p.entry_id = e.id AND p.account_id = '2160'
        AND NOT EXISTS (SELECT 1 FROM investors_unitlot l
          JOIN investors_holding h ON h.id = l.holding_id
          JOIN investors_payeeaccount a ON a.investor_id = h.investor_id
          JOIN investors_payment y ON y.payee_id = a.id AND y.entry_id = e.id
          WHERE l.id = p.lot)) THEN
      RETURN 'to another than the holder';
    END IF;
    IF EXISTS (SELECT 1 FROM investors_posting p JOIN investors_entry x ON x.id = p.entry_id
        WHERE x.fund_id = e.fund_id AND p.account_id = '2160' AND p.lot IN (
          SELECT o.lot FROM investors_posting o WHERE o.entry_id = e.id)
        GROUP BY p.lot HAVING sum(p.amount) > 0) THEN
      RETURN 'of more than is owed';
    END IF;
  ELSIF e.kind = 'payment_returned' AND EXISTS (SELECT 1 FROM investors_posting p
      WHERE p.entry_id = e.id AND p.account_id = '2160' AND NOT EXISTS (
        SELECT 1 FROM investors_payment y JOIN investors_posting o ON o.entry_id = y.entry_id
        WHERE y.id = investors_entry_subject(e.source_ref, 2) AND o.account_id = '2160'
          AND o.lot = p.lot AND o.amount = -p.amount)) THEN
    RETURN 'of another payment than came back';
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION investors_rebate_signed, investors_rebate_fault FROM PUBLIC;

INSERT INTO investors_account (code, name, kind)
  SELECT '2160', 'Fee rebates payable to investors', 'liability'
  WHERE EXISTS (SELECT 1 FROM investors_account) ON CONFLICT DO NOTHING;
"""
UNWALLS = """
DROP FUNCTION investors_rebate_fault;
DROP TRIGGER rebate_signed ON "investors_rebate";
DROP FUNCTION investors_rebate_signed();
"""

ROUTES = r"""
CREATE OR REPLACE FUNCTION authority_refusal(p_action text, p_subject uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE kind text := split_part(p_action, '.', 1); said text;
BEGIN
  IF kind = 'role' THEN
    said := coalesce(core_content('role.give', p_subject), core_content('role.take', p_subject));
  ELSIF kind IN ('dealing', 'distribution', 'restatement', 'suspension', 'expense',
      'expense_change', 'sleeve', 'rebate') THEN
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
    WHEN 'rebate' THEN investors_say_rebate(p_subject)
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
    WHEN 'rebate.approve' THEN ARRAY['controller']
    WHEN 'rebate.decline' THEN ARRAY['controller']
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

LEDGER = r"""
CREATE OR REPLACE FUNCTION investors_entry_accounts(p_kind text) RETURNS text[]
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE p_kind
    WHEN 'trade_fill' THEN '{1030,4010,5090}'
    WHEN 'funding' THEN '{1030,4030,5100}'
    WHEN 'mark_to_market' THEN '{1120,4020}'
    WHEN 'unknown_receipt' THEN '{1020,2015}'
    WHEN 'receipt_identified' THEN '{2010,2015}'
    WHEN 'receipt_released' THEN '{2010,2015}'
    WHEN 'receipt_returned' THEN '{1020,2015}'
    WHEN 'redemption_paid' THEN '{1010,2020}'
    WHEN 'distribution_paid' THEN '{1010,2020}'
    WHEN 'compensation_paid' THEN '{1010,2310}'
    WHEN 'management_fee_paid' THEN '{1010,2100}'
    WHEN 'performance_fee_paid' THEN '{1010,2120}'
    WHEN 'expense_paid' THEN '{1010,2130}'
    WHEN 'fee_rebate' THEN '{2100,2120,2160}'
    WHEN 'rebate_paid' THEN '{1010,2160}'
    WHEN 'payment_returned' THEN '{1010,1020,2015,2020,2100,2120,2130,2160,2310}'
    WHEN 'holdback_released' THEN '{2020,2030}'
    WHEN 'expense_accrued' THEN '{2130,5030,5040,5050,5060,5070,5080}'
    WHEN 'invoice_difference' THEN '{2130,5030,5040,5050,5060,5070,5080}'
    WHEN 'venue_funded' THEN '{1010,1030}'
    WHEN 'distribution_declared' THEN '{2020,3100}'
    WHEN 'error_recovered' THEN '{1400,4070}'
    WHEN 'compensation_owed' THEN '{1400,2310,5110}'
    WHEN 'units_transferred' THEN '{3010,3100,8010,8020}'
    WHEN 'collection_swept' THEN '{1010,1020}'
    WHEN 'unallocated_recognised' THEN '{2340,3100}'
    WHEN 'management_fee' THEN '{2100,5010}'
    WHEN 'performance_fee_accrual' THEN '{2110,5020}'
    WHEN 'performance_fee_crystallised' THEN '{2110,2120,3010,3100,5020,8010,8020}'
    WHEN 'redemption_dealt' THEN '{2020,2110,2120,3010,3100,3900,8010,8020}'
    WHEN 'exit_fee' THEN '{2020,2150,4060}'
    WHEN 'holdback_set' THEN '{2020,2030}'
    WHEN 'units_issued' THEN '{2010,3010,3900,8010,8020}'
    WHEN 'distribution_reinvested' THEN '{2020,3010,3900,8010,8020}'
    WHEN 'entry_fee' THEN '{2010,2150,4060}'
    WHEN 'switch_dealt' THEN '{2020,2110,2120,3010,3100,3900,4060,8010,8020}'
  END::text[]
$$;

CREATE OR REPLACE FUNCTION investors_entry_deals(e investors_entry) RETURNS boolean
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT starts_with(e.source_ref, 'venue_funded:strike:') OR e.kind IN ('collection_swept',
    'unallocated_recognised', 'management_fee', 'performance_fee_accrual',
    'performance_fee_crystallised', 'redemption_dealt', 'exit_fee', 'holdback_set', 'units_issued',
    'distribution_reinvested', 'entry_fee', 'switch_dealt', 'fee_rebate')
$$;

CREATE OR REPLACE FUNCTION investors_entry_fault(e investors_entry) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  ref text := e.source_ref;
  origin text := split_part(ref, ':', 1);
  subject uuid := investors_entry_subject(ref, 2);
  number bigint := CASE WHEN split_part(ref, ':', 2) ~ '^\d{1,18}$'
    THEN split_part(ref, ':', 2)::bigint END;
  accounts text[] := investors_entry_accounts(e.kind);
  -- Money that the entry debits, and what it does to venue cash.
  moved numeric; cash numeric; is_there boolean;
BEGIN
  IF accounts IS NULL THEN
    RETURN 'of a kind that nothing posts';
  END IF;
  IF EXISTS (SELECT 1 FROM investors_posting p
      WHERE p.entry_id = e.id AND p.account_id <> ALL (accounts)) THEN
    RETURN 'on an account that its kind does not move';
  END IF;
  SELECT coalesce(sum(p.amount) FILTER (WHERE p.amount > 0 AND p.currency NOT LIKE 'U:%'), 0),
      coalesce(sum(p.amount) FILTER (WHERE p.account_id = '1030'), 0)
    INTO moved, cash FROM investors_posting p WHERE p.entry_id = e.id;
  is_there := CASE
    WHEN investors_entry_deals(e) THEN
      investors_entry_dealt(e, '{approved,dealt,superseded}')
    WHEN e.kind = 'trade_fill' THEN EXISTS (SELECT 1 FROM trading_fill f
      JOIN investors_fund k ON k.id = e.fund_id AND k.book = f.book
      WHERE f.id = number AND ref = 'fill:' || f.id AND f.realised - f.fee = cash)
    WHEN e.kind = 'funding' THEN EXISTS (SELECT 1 FROM trading_fundingpayment f
      JOIN investors_fund k ON k.id = e.fund_id AND k.book = f.book
      WHERE f.id = number AND ref = 'funding:' || f.id AND f.amount = cash)
    WHEN e.kind = 'mark_to_market' THEN EXISTS (SELECT 1 FROM investors_navstrike s
      JOIN investors_fund k ON k.id = s.fund_id
      WHERE s.fund_id = e.fund_id AND s.valuation_at = e.effective_at + interval '1 microsecond'
        AND ref = 'mark:' || k.code || ':' || to_char(s.valuation_at AT TIME ZONE 'UTC',
          'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ':' || s.version)
    WHEN e.kind = 'unknown_receipt' THEN origin = 'receipt' AND EXISTS (
      SELECT 1 FROM investors_statementline l WHERE l.fund_id = e.fund_id
        AND l.final_at IS NOT NULL AND l.amount = moved
        AND right(ref, length(l.reference) + 1) = ':' || l.reference)
    WHEN e.kind IN ('receipt_identified', 'receipt_released') THEN origin = 'allocation' AND EXISTS (
      SELECT 1 FROM investors_lineallocation a JOIN investors_statementline l ON l.id = a.line_id
      WHERE a.entry_id = e.id AND l.fund_id = e.fund_id
        AND a.amount = CASE e.kind WHEN 'receipt_identified' THEN moved ELSE -moved END)
    WHEN origin = 'payment' THEN EXISTS (SELECT 1 FROM investors_payment p
      WHERE p.id = subject AND p.entry_id = e.id AND p.fund_id = e.fund_id
        AND p.state IN ('confirmed', 'returned') AND p.amount = moved
        AND e.kind = CASE p.kind WHEN 'refund' THEN 'receipt_returned' ELSE p.kind || '_paid' END)
    WHEN e.kind = 'payment_returned' THEN EXISTS (SELECT 1 FROM investors_payment p
      WHERE p.id = subject AND ref = 'payment-returned:' || p.id AND p.fund_id = e.fund_id
        AND p.state = 'returned' AND p.amount = moved AND p.entry_id IS NOT NULL)
    WHEN e.kind = 'holdback_released' THEN EXISTS (SELECT 1 FROM investors_dealingorder o
      JOIN investors_shareclass c ON c.id = o.share_class_id AND c.fund_id = e.fund_id
      WHERE o.id = subject AND ref = 'holdback:' || o.id AND o.held_amount = 0
        AND moved <= o.dealt_amount)
    WHEN origin = 'expense' THEN e.kind IN ('expense_accrued', 'invoice_difference') AND EXISTS (
      SELECT 1 FROM investors_expense x WHERE x.id = subject AND x.fund_id = e.fund_id
        AND x.is_approved AND NOT EXISTS (SELECT 1 FROM investors_posting p
          WHERE p.entry_id = e.id AND p.account_id NOT IN ('2130', x.account)))
    WHEN origin = 'break' THEN e.kind IN ('expense_accrued', 'expense_paid') AND EXISTS (
      SELECT 1 FROM investors_bookbreak b WHERE b.id = subject AND b.fund_id = e.fund_id
        AND ref = 'break:' || b.id || ':' || e.kind AND b.source = 'bank'
        AND b.closed_at IS NOT NULL AND b.ours - b.theirs = moved)
    WHEN e.kind = 'venue_funded' THEN EXISTS (SELECT 1 FROM investors_distribution d
      JOIN investors_shareclass c ON c.id = d.share_class_id AND c.fund_id = e.fund_id
      WHERE d.id = investors_entry_subject(ref, 3) AND d.is_approved
        AND ref = 'venue_funded:distribution:' || d.id)
      OR EXISTS (SELECT 1 FROM investors_restatement r
        WHERE r.id = investors_entry_subject(ref, 3) AND r.fund_id = e.fund_id
          AND r.booked_at IS NOT NULL AND ref = 'venue_funded:restatement:' || r.id)
    WHEN e.kind = 'distribution_declared' THEN EXISTS (SELECT 1 FROM investors_distribution d
      JOIN investors_shareclass c ON c.id = d.share_class_id AND c.fund_id = e.fund_id
      WHERE d.id = subject AND ref = e.kind || ':' || d.id AND d.is_approved AND d.total = moved)
    WHEN e.kind IN ('error_recovered', 'compensation_owed') THEN origin = 'restatement' AND EXISTS (
      SELECT 1 FROM investors_restatement r WHERE r.id = subject AND r.fund_id = e.fund_id
        AND r.booked_at IS NOT NULL AND (r.content ->> CASE e.kind WHEN 'error_recovered'
          THEN 'fund_loss' ELSE 'owed' END)::numeric >= (SELECT sum(p.amount)
            FROM investors_entry x JOIN investors_posting p ON p.entry_id = x.id
            WHERE x.fund_id = e.fund_id AND x.kind = e.kind AND p.amount > 0
              AND starts_with(x.source_ref, 'restatement:' || subject || ':')))
    WHEN e.kind = 'units_transferred' THEN EXISTS (SELECT 1 FROM investors_dealingproposal d
      JOIN investors_shareclass c ON c.id = d.share_class_id AND c.fund_id = e.fund_id
      WHERE d.id = subject AND ref = e.kind || ':' || d.id AND d.kind = 'transfer'
        AND d.is_approved)
    ELSE false END;
  RETURN CASE WHEN NOT coalesce(is_there, false) THEN 'without the source that it names'
    ELSE investors_rebate_fault(e) END;
END $$;

CREATE OR REPLACE FUNCTION investors_entry_sourced() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fund record; fault text;
BEGIN
  SELECT f.book, f.currency INTO STRICT fund FROM investors_fund f WHERE f.id = new.fund_id;
  IF wall_invents(fund.book) THEN
    RETURN NULL;
  END IF;
  fault := investors_entry_fault(new);
  IF fault IS NOT NULL THEN
    RAISE EXCEPTION 'ledger: % is %', new.kind, fault USING ERRCODE = 'check_violation';
  END IF;
  -- Between bank and venue goes what leaves the bank at what is owed from it, and no other amount.
  IF new.kind = 'venue_funded' AND (SELECT coalesce(sum(p.amount), 0)
      FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
      WHERE e.fund_id = new.fund_id AND e.effective_at <= new.effective_at
        AND p.account_id IN ('1010', '2020', '2030', '2100', '2120', '2160', '2310')
        AND p.currency = fund.currency)
    <> -(SELECT coalesce(sum(o.amount), 0) FROM investors_dealingorder o
      JOIN investors_shareclass c ON c.id = o.share_class_id
      WHERE c.fund_id = new.fund_id AND o.kind = 'reinvestment' AND o.state = 'funded') THEN
    RAISE EXCEPTION 'ledger: venue_funded does not leave the bank at what is owed from it'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
"""

#: Lines and words that this migration adds to the functions above.
ADDED_LINES = (
    "    WHEN 'rebate' THEN investors_say_rebate(p_subject)\n",
    "    WHEN 'rebate.approve' THEN ARRAY['controller']\n",
    "    WHEN 'rebate.decline' THEN ARRAY['controller']\n",
    "    WHEN 'fee_rebate' THEN '{2100,2120,2160}'\n",
    "    WHEN 'rebate_paid' THEN '{1010,2160}'\n",
    ", 'rebate'",
    ", 'fee_rebate'",
    "2160,",
    " '2160',",
    "\n    ELSE investors_rebate_fault(e)",
)


def _before(text: str) -> str:
    """The functions as they stood before: without what was added."""
    for added in ADDED_LINES:
        text = text.replace(added, "")
    return text


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0041_withdrawn_for_good"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AlterField(
            model_name="payment",
            name="kind",
            field=models.CharField(
                choices=[
                    ("redemption", "Redemption proceeds"),
                    ("distribution", "Distribution"),
                    ("compensation", "Compensation of a wrong NAV"),
                    ("refund", "Refund to origin"),
                    ("management_fee", "Management fee"),
                    ("performance_fee", "Performance fee"),
                    ("expense", "Expense"),
                    ("rebate", "Fee rebate"),
                ],
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="Rebate",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("proposed_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("is_approved", models.BooleanField(blank=True, null=True)),
                (
                    "reason",
                    models.CharField(blank=True, help_text="Why it was declined.", max_length=300),
                ),
                (
                    "management_share",
                    magnetfund.core.fields.ExactField(
                        help_text="Of the management fee, as a fraction."
                    ),
                ),
                (
                    "performance_share",
                    magnetfund.core.fields.ExactField(
                        help_text="Of the performance fee, as a fraction."
                    ),
                ),
                ("first_day", models.DateField()),
                (
                    "reference",
                    models.CharField(help_text="Of the letter that agrees it.", max_length=80),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "investor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rebates",
                        to="investors.investor",
                    ),
                ),
                (
                    "proposed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "share_class",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rebates",
                        to="investors.shareclass",
                    ),
                ),
            ],
            options={
                "ordering": ["-proposed_at"],
                "abstract": False,
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("is_approved", None), ("is_approved", True), _connector="OR"
                        ),
                        fields=("investor", "share_class", "first_day"),
                        name="investors_rebate_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("management_share__gte", 0),
                            ("management_share__lte", 1),
                            ("performance_share__gte", 0),
                            ("performance_share__lte", 1),
                        ),
                        name="investors_rebate_shares",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("decided_by", None),
                            models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="investors_rebate_four_eyes",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("decided_at", None), ("decided_by", None), ("is_approved", None)
                            ),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("decided_by__isnull", False),
                                ("is_approved__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="investors_rebate_decided",
                    ),
                ],
            },
        ),
        migrations.RunSQL(SAY + ROUTES, _before(ROUTES) + "DROP FUNCTION investors_say_rebate;"),
        migrations.RunSQL(WALLS + LEDGER, _before(LEDGER) + UNWALLS),
    ]
