"""An entry of the ledger is of a kind that is posted, from the row or decision that it names."""

from django.db import migrations

ACCOUNTS = r"""
-- Accounts that an entry of a kind moves; a kind that is not here is posted by nothing.
CREATE FUNCTION investors_entry_accounts(p_kind text) RETURNS text[]
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
    WHEN 'payment_returned' THEN '{1010,1020,2015,2020,2100,2120,2130,2310}'
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
"""

SOURCES = r"""
-- The part of a source's name that is the id of a row, in the one form that the services write.
CREATE FUNCTION investors_entry_subject(p_source text, p_part integer) RETURNS uuid
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN split_part(p_source, ':', p_part)
      ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    THEN split_part(p_source, ':', p_part)::uuid END
$$;

-- Whether an entry is one of the dealing of a NAV; its source names the NAV and then a class.
CREATE FUNCTION investors_entry_deals(e investors_entry) RETURNS boolean
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT starts_with(e.source_ref, 'venue_funded:strike:') OR e.kind IN ('collection_swept',
    'unallocated_recognised', 'management_fee', 'performance_fee_accrual',
    'performance_fee_crystallised', 'redemption_dealt', 'exit_fee', 'holdback_set', 'units_issued',
    'distribution_reinvested', 'entry_fee', 'switch_dealt')
$$;

-- Whether that NAV is there: while it is dealt, or afterwards.
CREATE FUNCTION investors_entry_dealt(e investors_entry, p_states text[]) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM investors_navstrike s WHERE s.fund_id = e.fund_id
    AND s.valuation_at = e.effective_at AND s.state = ANY (p_states)
    AND CASE WHEN e.kind = 'venue_funded' THEN s.id = investors_entry_subject(e.source_ref, 3)
        AND e.source_ref = 'venue_funded:strike:' || s.id
      ELSE s.id = investors_entry_subject(e.source_ref, 2)
        AND (e.source_ref IN (e.kind || ':' || s.id, e.kind || ':' || s.id || ':')
          OR EXISTS (SELECT 1 FROM investors_shareclass c WHERE c.fund_id = e.fund_id
            AND e.source_ref = e.kind || ':' || s.id || ':' || c.code)) END)
$$;

-- What is wrong with where an entry comes from; null where nothing is.
CREATE FUNCTION investors_entry_fault(e investors_entry) RETURNS text
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
  RETURN CASE WHEN NOT coalesce(is_there, false) THEN 'without the source that it names' END;
END $$;
"""

WALLS = r"""
-- At once: an entry of a dealing is written while its signed NAV is dealt, never after it.
CREATE FUNCTION investors_entry_of_dealing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT wall_invents((SELECT f.book FROM investors_fund f WHERE f.id = new.fund_id))
     AND NOT investors_entry_dealt(new, '{approved}') THEN
    RAISE EXCEPTION 'ledger: % belongs to the dealing of a NAV', new.kind
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER entry_of_dealing AFTER INSERT ON investors_entry
  FOR EACH ROW WHEN (investors_entry_deals(new)) EXECUTE FUNCTION investors_entry_of_dealing();
ALTER TABLE investors_entry ENABLE ALWAYS TRIGGER entry_of_dealing;

-- As it commits, when the rows that follow their entry stand too.
CREATE FUNCTION investors_entry_sourced() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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
        AND p.account_id IN ('1010', '2020', '2030', '2100', '2120', '2310')
        AND p.currency = fund.currency)
    <> -(SELECT coalesce(sum(o.amount), 0) FROM investors_dealingorder o
      JOIN investors_shareclass c ON c.id = o.share_class_id
      WHERE c.fund_id = new.fund_id AND o.kind = 'reinvestment' AND o.state = 'funded') THEN
    RAISE EXCEPTION 'ledger: venue_funded does not leave the bank at what is owed from it'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER entry_sourced AFTER INSERT ON investors_entry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION investors_entry_sourced();
ALTER TABLE investors_entry ENABLE ALWAYS TRIGGER entry_sourced;

REVOKE ALL ON FUNCTION investors_entry_accounts, investors_entry_subject, investors_entry_dealt,
  investors_entry_fault, investors_entry_of_dealing, investors_entry_sourced FROM PUBLIC;
-- Who verifies the books asks the same of entries that stand.
GRANT EXECUTE ON FUNCTION investors_entry_deals TO fa_app, fa_gateway;
GRANT EXECUTE ON FUNCTION investors_entry_accounts, investors_entry_fault
  TO fa_app, fa_gateway, fa_auditor;
"""

BACK = """
DROP FUNCTION investors_entry_of_dealing() CASCADE;
DROP FUNCTION investors_entry_sourced() CASCADE;
DROP FUNCTION investors_entry_fault;
DROP FUNCTION investors_entry_dealt;
DROP FUNCTION investors_entry_deals;
DROP FUNCTION investors_entry_subject;
DROP FUNCTION investors_entry_accounts;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0037_signed_refusals")]
    operations = [migrations.RunSQL(ACCOUNTS + SOURCES + WALLS, BACK)]
