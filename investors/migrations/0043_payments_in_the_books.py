"""A payment stands in the books as its state says, and comes back as it went; rebates of a class go
to lots of that class."""

from django.db import migrations

PAYMENTS = r"""
-- What is wrong between a payment and its entries; null where nothing is.
CREATE FUNCTION investors_payment_fault(y investors_payment) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  went uuid := (SELECT e.id FROM investors_entry e WHERE e.source_ref = 'payment:' || y.id);
  back uuid := (SELECT e.id FROM investors_entry e
    WHERE e.source_ref = 'payment-returned:' || y.id);
BEGIN
  IF y.entry_id IS DISTINCT FROM went THEN
    RETURN 'tied to another entry than its own';
  ELSIF y.state = 'confirmed' AND went IS NULL THEN
    RETURN 'confirmed and not in the books';
  ELSIF y.state NOT IN ('confirmed', 'returned') AND went IS NOT NULL THEN
    RETURN 'in the books and not confirmed';
  ELSIF (y.state = 'returned' AND went IS NOT NULL) <> (back IS NOT NULL) THEN
    RETURN 'returned in one of state and books alone';
  ELSIF back IS NOT NULL AND EXISTS (
      SELECT 1 FROM (
        SELECT p.account_id, p.currency, p.share_class, p.lot, p.amount
          FROM investors_posting p WHERE p.entry_id = went
        UNION ALL
        SELECT p.account_id, p.currency, p.share_class, p.lot, p.amount
          FROM investors_posting p WHERE p.entry_id = back) both_ways
      GROUP BY account_id, currency, share_class, lot HAVING sum(amount) <> 0) THEN
    RETURN 'back in the books otherwise than it went';
  END IF;
  RETURN NULL;
END $$;

-- As it commits, when its entries stand too.
CREATE FUNCTION investors_payment_booked() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fault text;
BEGIN
  IF wall_invents((SELECT f.book FROM investors_fund f WHERE f.id = new.fund_id)) THEN
    RETURN NULL;
  END IF;
  fault := (SELECT investors_payment_fault(y) FROM investors_payment y WHERE y.id = new.id);
  IF fault IS NOT NULL THEN
    RAISE EXCEPTION 'payment: % is %', new.number, fault USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER payment_booked AFTER UPDATE ON investors_payment
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (new.state IS DISTINCT FROM old.state OR new.entry_id IS DISTINCT FROM old.entry_id)
  EXECUTE FUNCTION investors_payment_booked();
ALTER TABLE investors_payment ENABLE ALWAYS TRIGGER payment_booked;

REVOKE ALL ON FUNCTION investors_payment_fault, investors_payment_booked FROM PUBLIC;
-- Who verifies the books asks the same of payments that stand.
GRANT EXECUTE ON FUNCTION investors_payment_fault TO fa_app, fa_gateway, fa_auditor;
"""
UNPAYMENTS = """
DROP FUNCTION investors_payment_booked() CASCADE;
DROP FUNCTION investors_payment_fault;
"""

REBATES = r"""
CREATE OR REPLACE FUNCTION investors_rebate_fault(e investors_entry) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF e.kind = 'fee_rebate' THEN
    IF EXISTS (SELECT 1 FROM investors_posting p WHERE p.entry_id = e.id
        AND (p.share_class <> split_part(e.source_ref, ':', 3)
          OR p.account_id <> '2160' AND p.amount < 0 OR p.account_id = '2160'
          AND (p.amount > 0 OR NOT EXISTS (SELECT 1 FROM investors_unitlot l
            JOIN investors_shareclass c ON c.id = l.share_class_id AND c.fund_id = e.fund_id
              AND c.code = p.share_class
            JOIN investors_holding h ON h.id = l.holding_id
            JOIN investors_rebate r ON r.investor_id = h.investor_id
              AND r.share_class_id = l.share_class_id AND r.is_approved
              AND r.first_day
                <= ((e.effective_at - interval '1 microsecond') AT TIME ZONE 'UTC')::date
            WHERE l.id = p.lot)))) THEN
      RETURN 'to a holder with whom nothing is agreed';
    END IF;
    IF (SELECT coalesce(sum(p.amount), 0) FROM investors_posting p
          WHERE p.entry_id = e.id AND p.account_id = '2100')
        > (SELECT coalesce(sum(n.management_fee), 0) FROM investors_classnav n
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
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION investors_rebate_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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
  IF new.is_approved THEN
    -- A NAV that is being dealt is not seen before it commits: the lock of strikes waits for it.
    PERFORM pg_advisory_xact_lock(7006, fund.id::integer);
  END IF;
  IF new.is_approved AND EXISTS (SELECT 1 FROM investors_navstrike s WHERE s.fund_id = fund.id
      AND s.state IN ('approved', 'dealt')
      AND ((s.valuation_at - interval '1 microsecond') AT TIME ZONE 'UTC')::date >= old.first_day)
  THEN
    RAISE EXCEPTION 'rebates: a NAV has counted its first day' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
"""

#: The branch that asked of rebates alone what is asked of every payment now.
RETURNED = r"""  ELSIF e.kind = 'payment_returned' AND EXISTS (SELECT 1 FROM investors_posting p
      WHERE p.entry_id = e.id AND p.account_id = '2160' AND NOT EXISTS (
        SELECT 1 FROM investors_payment y JOIN investors_posting o ON o.entry_id = y.entry_id
        WHERE y.id = investors_entry_subject(e.source_ref, 2) AND o.account_id = '2160'
          AND o.lot = p.lot AND o.amount = -p.amount)) THEN
    RETURN 'of another payment than came back';
"""
#: What stands in the functions now, and what stood there before.
CHANGED = (
    ("\n          OR p.account_id <> '2160' AND p.amount < 0", ""),
    ("            JOIN investors_shareclass c ON c.id = l.share_class_id AND c.fund_id = e.fund_id\n"
     "              AND c.code = p.share_class\n", ""),
    ("r.first_day\n                <= ((e.effective_at - interval '1 microsecond') AT TIME ZONE",
     "r.first_day <= (e.effective_at AT TIME ZONE"),
    ("coalesce(sum(n.management_fee), 0)", "n.management_fee"),
    ("  END IF;\n  RETURN NULL;", RETURNED + "  END IF;\n  RETURN NULL;"),
    ("  IF new.is_approved THEN\n    -- A NAV that is being dealt is not seen before it commits: the "
     "lock of strikes waits for it.\n    PERFORM pg_advisory_xact_lock(7006, fund.id::integer);\n"
     "  END IF;\n", ""),
)  # fmt: skip


def _before(text: str) -> str:
    """The functions as they stood before."""
    for new, old in CHANGED:
        text = text.replace(new, old)
    return text


class Migration(migrations.Migration):
    dependencies = [("investors", "0042_fee_rebates")]
    operations = [migrations.RunSQL(PAYMENTS + REBATES, _before(REBATES) + UNPAYMENTS)]
