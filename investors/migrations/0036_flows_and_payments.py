"""A flow of a book stands in the ledger, what is paid in payments, and a document stays what it was."""

from django.db import migrations

FLOWS = r"""
-- Money moves between bank and book with its entry, posted before it in the same transaction.
CREATE FUNCTION investors_flow_posted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT wall_invents(new.book) AND NOT EXISTS (SELECT 1 FROM investors_fund f
      JOIN investors_entry e ON e.fund_id = f.id AND e.source_ref = 'venue_funded:' || new.source_ref
      JOIN investors_posting p ON p.entry_id = e.id AND p.amount = new.amount
      WHERE f.book = new.book) THEN
    RAISE EXCEPTION 'books: a flow without its entry' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER flow_posted BEFORE INSERT ON trading_bookflow
  FOR EACH ROW EXECUTE FUNCTION investors_flow_posted();
ALTER TABLE trading_bookflow ENABLE ALWAYS TRIGGER flow_posted;
"""

PAID = r"""
-- What a holder has been paid is what confirmed payments of this order came to.
CREATE FUNCTION investors_paid_figures() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF (SELECT o.paid_amount FROM investors_dealingorder o WHERE o.id = new.id)
     <> coalesce((SELECT sum(p.amount) FROM investors_payment p
       WHERE p.order_id = new.id AND p.state = 'confirmed'), 0) THEN
    RAISE EXCEPTION 'orders: paid is what its confirmed payments came to'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER paid_figures AFTER UPDATE ON investors_dealingorder
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (new.paid_amount IS DISTINCT FROM old.paid_amount)
  EXECUTE FUNCTION investors_paid_figures();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER paid_figures;

CREATE FUNCTION investors_owed_until_paid() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'orders: what is owed stays owed until it is paid'
    USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER owed_until_paid BEFORE UPDATE ON investors_dealingorder
  FOR EACH ROW WHEN (old.state = 'payable' AND new.state <> 'payable'
    AND NOT (new.state = 'settled' AND new.paid_amount = new.dealt_amount))
  EXECUTE FUNCTION investors_owed_until_paid();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER owed_until_paid;
"""

DOCUMENTS = r"""
-- A document that was taken is never another one; what goes is its name and its content.
CREATE FUNCTION investors_document_kept() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'documents: what was uploaded is never another one'
    USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER document_kept BEFORE UPDATE ON investors_document
  FOR EACH ROW WHEN (
    (new.sealed_content IS DISTINCT FROM old.sealed_content AND length(new.sealed_content) > 0)
    OR (new.name IS DISTINCT FROM old.name AND new.name <> '')
    OR (old.removed_at IS NOT NULL AND new.removed_at IS NULL))
  EXECUTE FUNCTION investors_document_kept();
ALTER TABLE investors_document ENABLE ALWAYS TRIGGER document_kept;
REVOKE ALL ON FUNCTION investors_flow_posted, investors_paid_figures, investors_owed_until_paid,
  investors_document_kept FROM PUBLIC;
"""
BACK = """
DROP FUNCTION investors_flow_posted() CASCADE;
DROP FUNCTION investors_paid_figures() CASCADE;
DROP FUNCTION investors_owed_until_paid() CASCADE;
DROP FUNCTION investors_document_kept() CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0035_dealt_as_moved"),
        ("trading", "0026_terms_of_instruments"),
    ]
    operations = [migrations.RunSQL(FLOWS + PAID + DOCUMENTS, BACK)]
