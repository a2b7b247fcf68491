"""What an order was dealt at changes with a NAV that is being dealt, and at no other time."""

from django.db import migrations

FIGURES = (
    "dealt_units",
    "dealt_price",
    "dealt_amount",
    "fee_amount",
    "into_units",
    "into_price",
    "into_fee",
    "strike_id",
)
CHANGED = " OR ".join(f"new.{name} IS DISTINCT FROM old.{name}" for name in FIGURES)

WALL = f"""
-- A strike is approved only inside the transaction that deals it (nav_dealt_at_once). What a
-- payment is signed over rests on these figures. A distribution and a compensation are owed as
-- they begin.
CREATE FUNCTION investors_dealt_figures() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fund record;
BEGIN
  SELECT f.id, f.book INTO STRICT fund FROM investors_shareclass c
    JOIN investors_fund f ON f.id = c.fund_id WHERE c.id = new.share_class_id;
  IF wall_invents(fund.book) THEN
    RETURN new;
  END IF;
  IF tg_op = 'INSERT' THEN
    IF new.kind NOT IN ('distribution', 'compensation') OR new.dealt_amount <> new.amount THEN
      RAISE EXCEPTION 'orders: an order begins without what it is dealt at'
        USING ERRCODE = 'check_violation';
    END IF;
  ELSIF new.kind = 'compensation' OR NOT EXISTS (
      SELECT 1 FROM investors_navstrike s WHERE s.fund_id = fund.id AND s.state = 'approved') THEN
    RAISE EXCEPTION 'orders: what an order was dealt at is fixed' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER dealt_figures BEFORE UPDATE ON investors_dealingorder
  FOR EACH ROW WHEN ({CHANGED}) EXECUTE FUNCTION investors_dealt_figures();
CREATE TRIGGER given_figures BEFORE INSERT ON investors_dealingorder
  FOR EACH ROW WHEN (new.dealt_amount IS NOT NULL) EXECUTE FUNCTION investors_dealt_figures();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER dealt_figures;
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER given_figures;
REVOKE ALL ON FUNCTION investors_dealt_figures FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0032_signed_costs_and_suspensions")]
    operations = [migrations.RunSQL(WALL, "DROP FUNCTION investors_dealt_figures() CASCADE;")]
