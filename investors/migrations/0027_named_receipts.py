"""Who signs a NAV or a refund signs the receipts behind it: each by its reference, sender and source."""

from django.db import migrations

WORDS = r"""
-- A receipt as its reader holds it against the bank's own statement.
CREATE FUNCTION investors_say_receipt(p_line uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT trim_scale(l.amount) || ' ' || wall_line(l.currency) || ' of '
      || coalesce(nullif(wall_line(l.party), ''), 'nobody named')
      || coalesce(', account ' || nullif(wall_line(l.party_account), ''), '')
      || ', reference ' || wall_line(l.reference) || ', ' || wall_when(l.booked_at) || ', '
      || coalesce('on account ' || wall_line(k.code) || ' by the file ' || wall_line(f.name) || ' '
        || left(f.sha256, 16), CASE WHEN k.id IS NULL THEN 'RECORDED BY HAND'
        ELSE 'on account ' || wall_line(k.code) || ' BY NO FILE' END)
    FROM investors_statementline l LEFT JOIN investors_fundaccount k ON k.id = l.account_id
    LEFT JOIN investors_statementfile f ON f.id = l.file_id AND f.confirmed_at IS NOT NULL
    WHERE l.id = p_line
$$;

-- The receipts that pay the orders of a strike, whole: a line that funds them must be among these.
CREATE FUNCTION investors_say_receipts(p_strike uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH used AS MATERIALIZED (SELECT l.id, l.amount, l.account_id, sum(a.amount) AS part
      FROM investors_orders_due(p_strike) o
      JOIN investors_lineallocation a ON a.order_id = o.id AND a.use = 'order'
      JOIN investors_statementline l ON l.id = a.line_id
      GROUP BY l.id, l.amount, l.account_id HAVING sum(a.amount) <> 0)
  SELECT E'\n' || 'Receipts behind them: ' || count(*) || ', ' || trim_scale(coalesce(sum(u.part), 0))
      || ' used; by hand: ' || count(*) FILTER (WHERE u.account_id IS NULL) || ', '
      || trim_scale(coalesce(sum(u.part) FILTER (WHERE u.account_id IS NULL), 0))
      || E'\n' || 'Their content: ' || encode(sha256(convert_to(coalesce(string_agg(
        investors_say_receipt(u.id) || ' ' || trim_scale(u.part), E'\n' ORDER BY u.id), ''),
        'UTF8')), 'hex')
      || coalesce((SELECT string_agg(E'\n' || 'Received ' || investors_say_receipt(x.id), ''
          ORDER BY x.account_id IS NOT NULL, x.amount DESC, x.id)
        FROM (SELECT * FROM used y ORDER BY y.account_id IS NOT NULL, y.amount DESC, y.id
          LIMIT 40) x), '')
    FROM used u
$$;

ALTER FUNCTION investors_content RENAME TO investors_content_of_rows;
CREATE FUNCTION investors_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT investors_content_of_rows(p_action, p_subject) || CASE p_action
    WHEN 'nav.approve' THEN investors_say_receipts(p_subject)
    WHEN 'payment.approve' THEN coalesce((SELECT E'\n' || 'Gives back: '
      || investors_say_receipt(p.line_id) FROM investors_payment p
      WHERE p.id = p_subject AND p.line_id IS NOT NULL), '')
    ELSE '' END
$$;
REVOKE ALL ON FUNCTION investors_say_receipt, investors_say_receipts, investors_content FROM PUBLIC;
"""

RECEIPTS = r"""
-- A line of the bank stands on an account that two people signed, in a file read from it.
CREATE FUNCTION investors_line_read() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'UPDATE' THEN
    IF old.final_at IS NOT NULL AND new.final_at IS DISTINCT FROM old.final_at THEN
      RAISE EXCEPTION 'receipts: what is final stays so' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF new.final_at IS NOT NULL OR new.allocated <> 0 THEN
    RAISE EXCEPTION 'receipts: a line is read before it is final' USING ERRCODE = 'check_violation';
  END IF;
  IF (new.account_id IS NULL) <> (new.file_id IS NULL) OR new.account_id IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM investors_statementfile f
       JOIN investors_fundaccount k ON k.id = f.account_id
       WHERE f.id = new.file_id AND f.account_id = new.account_id AND k.fund_id = new.fund_id
         AND f.confirmed_at IS NULL AND k.approved_at IS NOT NULL AND k.closed_at IS NULL) THEN
    RAISE EXCEPTION 'receipts: a line comes of a file of its account, while it is imported'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER line_read BEFORE INSERT OR UPDATE ON investors_statementline
  FOR EACH ROW EXECUTE FUNCTION investors_line_read();
ALTER TABLE investors_statementline ENABLE ALWAYS TRIGGER line_read;

-- A file is imported once, and its hash is that of what came.
CREATE FUNCTION investors_file_imported() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' AND new.confirmed_at IS NOT NULL
     OR tg_op = 'UPDATE' AND old.confirmed_at IS NOT NULL
       AND new.confirmed_at IS DISTINCT FROM old.confirmed_at THEN
    RAISE EXCEPTION 'receipts: a file is read, then imported once' USING ERRCODE = 'check_violation';
  END IF;
  IF tg_op = 'INSERT' AND new.sha256 <> encode(sha256(new.content), 'hex') THEN
    RAISE EXCEPTION 'receipts: this is not the hash of the file' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER file_imported BEFORE INSERT OR UPDATE ON investors_statementfile
  FOR EACH ROW EXECUTE FUNCTION investors_file_imported();
ALTER TABLE investors_statementfile ENABLE ALWAYS TRIGGER file_imported;

-- Money in the ledger that no line tells of is no receipt.
CREATE FUNCTION investors_receipt_entry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE place text;
BEGIN
  place := 'receipt:' || (SELECT f.code FROM investors_fund f WHERE f.id = new.fund_id) || ':';
  IF NOT EXISTS (SELECT 1 FROM investors_statementline l WHERE l.fund_id = new.fund_id
         AND l.account_id IS NULL AND l.final_at IS NOT NULL
         AND l.reference = substr(new.source_ref, length(place || 'hand:') + 1)
         AND starts_with(new.source_ref, place || 'hand:'))
     AND NOT EXISTS (SELECT 1 FROM investors_fundaccount k
       JOIN investors_statementline l ON l.fund_id = k.fund_id AND l.account_id = k.id
         AND l.reference = substr(new.source_ref, length(place || k.code || ':') + 1)
       WHERE k.fund_id = new.fund_id AND l.final_at IS NOT NULL
         AND starts_with(new.source_ref, place || k.code || ':')) THEN
    RAISE EXCEPTION 'ledger: a receipt without its line' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER receipt_entry AFTER INSERT ON investors_entry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (starts_with(new.source_ref, 'receipt:'))
  EXECUTE FUNCTION investors_receipt_entry();
ALTER TABLE investors_entry ENABLE ALWAYS TRIGGER receipt_entry;
REVOKE ALL ON FUNCTION investors_line_read, investors_file_imported, investors_receipt_entry
  FROM PUBLIC;
"""

WITHOUT = """
DROP FUNCTION investors_line_read() CASCADE;
DROP FUNCTION investors_file_imported() CASCADE;
DROP FUNCTION investors_receipt_entry() CASCADE;
DROP FUNCTION investors_content;
ALTER FUNCTION investors_content_of_rows RENAME TO investors_content;
DROP FUNCTION investors_say_receipts, investors_say_receipt;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0026_capital_paper")]
    operations = [migrations.RunSQL(WORDS + RECEIPTS, WITHOUT)]
