"""What a dead holder is owed goes to the account of the executor whom two people took.

The account is in the executor's name and was signed after that decision; nothing goes to any other
account while the report of the death is open.
"""

from django.db import migrations

HEAD = r"""
CREATE OR REPLACE FUNCTION investors_payment_of_held() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE holder uuid := coalesce(
  (SELECT o.investor_id FROM investors_dealingorder o WHERE o.id = new.order_id),
  (SELECT p.investor_id FROM investors_payeeaccount p WHERE p.id = new.payee_id));
BEGIN
  IF EXISTS (SELECT 1 FROM investors_investor i WHERE i.id = holder AND i.kyc_state = 'restricted')
     OR EXISTS (SELECT 1 FROM investors_deathreport d
       WHERE d.investor_id = holder AND d.closed_at IS NULL)"""
EXECUTOR = r"""
     AND NOT EXISTS (SELECT 1 FROM investors_payeeaccount p, investors_investor x
       WHERE p.id = new.payee_id AND p.investor_id = holder
         AND lower(p.name) = lower(x.legal_name) AND x.kyc_state <> 'restricted'
         AND NOT EXISTS (SELECT 1 FROM investors_deathreport o
           WHERE o.investor_id = x.id AND o.closed_at IS NULL)
         AND (x.id, true) = (SELECT s.executor_id, p.approved_at > s.decided_at
           FROM investors_estatestep s JOIN investors_deathreport r ON r.id = s.report_id
           WHERE r.investor_id = holder AND r.closed_at IS NULL
             AND s.kind = 'probate' AND s.is_approved ORDER BY s.decided_at DESC LIMIT 1))"""
TAIL = r""" THEN
    RAISE EXCEPTION 'payment: payments to this investor are on hold'
      USING ERRCODE = 'check_violation';
  END IF;
  IF new.line_id IS NOT NULL AND investors_taken_back(new.line_id) THEN
    RAISE EXCEPTION 'payment: the bank took this receipt back' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0066_nav_as_valued")]
    operations = [migrations.RunSQL(HEAD + EXECUTOR + TAIL, HEAD + TAIL)]
