"""What an order was dealt at is what its units moved for: nothing else commits with a NAV."""

from django.db import migrations

FIXED = r"""
CREATE OR REPLACE FUNCTION investors_dealt_figures() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fund record; strike uuid;
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
    RETURN new;
  END IF;
  SELECT s.id INTO strike FROM investors_navstrike s
    WHERE s.fund_id = fund.id AND s.state = 'approved';
  IF strike IS NULL OR new.kind = 'compensation' THEN
    RAISE EXCEPTION 'orders: what an order was dealt at is fixed' USING ERRCODE = 'check_violation';
  END IF;
  -- What a distribution buys no unit for is owed in cash, as it was declared.
  IF new.strike_id IS DISTINCT FROM strike AND NOT (new.kind = 'reinvestment'
      AND new.dealt_amount = new.amount AND new.strike_id IS NULL AND new.dealt_units IS NULL
      AND new.dealt_price IS NULL AND new.fee_amount = 0 AND new.into_units = 0) THEN
    RAISE EXCEPTION 'orders: dealt with another NAV than this one'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
"""

FIXED_BACK = r"""
CREATE OR REPLACE FUNCTION investors_dealt_figures() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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
"""

MOVED = r"""
-- As a strike becomes dealt, after which no figure changes: units and prices are those of the
-- movements; money and fee together are what left, each lot rounded by a cent at most, and a class
-- that everybody leaves pays its last cents to one of them; a fee is no more than its terms ask.
CREATE FUNCTION investors_dealt_as_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE bad uuid;
BEGIN
  SELECT u.order_id INTO bad FROM investors_unitentry u
    JOIN investors_dealingorder o ON o.id = u.order_id
    WHERE u.strike_id = new.id AND o.strike_id IS DISTINCT FROM new.id LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'orders: % is not dealt as its units moved', bad
      USING ERRCODE = 'check_violation';
  END IF;
  WITH rates AS (
    SELECT p.share_class_id AS class, max((p.terms ->> 'entry_fee_rate')::numeric) AS entry,
        max((p.terms ->> 'exit_fee_rate')::numeric
          + (p.terms ->> 'soft_lock_fee_rate')::numeric) AS leaving,
        max((p.terms ->> 'price_quantum')::numeric) AS step
      FROM investors_classpolicyversion p JOIN investors_shareclass c ON c.id = p.share_class_id
      WHERE c.fund_id = new.fund_id GROUP BY p.share_class_id
  ), emptied AS (
    SELECT n.share_class_id AS class, 0.01 * count(*) + n.units * r.step AS rest
      FROM investors_classnav n JOIN rates r ON r.class = n.share_class_id
      JOIN investors_unitlot l ON l.share_class_id = n.share_class_id
      JOIN investors_unitentry u ON u.lot_id = l.id AND u.strike_id = n.strike_id AND u.units < 0
      WHERE n.strike_id = new.id GROUP BY n.share_class_id, n.units, r.step
      HAVING sum(-u.units) >= n.units
  ), moved AS (
    SELECT u.order_id,
        abs(sum(u.units) FILTER (WHERE u.kind <> 'switch_in')) AS units,
        max(u.price) FILTER (WHERE u.kind <> 'switch_in' AND u.strike_id = new.id) AS price,
        sum(abs(u.units) * (u.price - CASE WHEN u.units < 0
          THEN coalesce(n.performance_fee_per_unit, 0) ELSE 0 END))
          FILTER (WHERE u.kind <> 'switch_in') AS worth,
        coalesce(sum(u.units) FILTER (WHERE u.kind = 'switch_in'), 0) AS bought,
        coalesce(sum(u.units * u.price) FILTER (WHERE u.kind = 'switch_in'), 0) AS spent,
        max(u.price) FILTER (WHERE u.kind = 'switch_in' AND u.strike_id = new.id) AS into_price,
        0.01 * count(*) AS cents
      FROM investors_unitentry u LEFT JOIN investors_lotnav n
        ON n.lot_id = u.lot_id AND n.strike_id = u.strike_id
      WHERE u.order_id IN (SELECT o.id FROM investors_dealingorder o WHERE o.strike_id = new.id)
      GROUP BY u.order_id
  )
  SELECT o.id INTO bad FROM investors_dealingorder o
    JOIN rates r ON r.class = o.share_class_id
    LEFT JOIN rates i ON i.class = o.into_class_id
    LEFT JOIN emptied e ON e.class = o.share_class_id
    LEFT JOIN moved m ON m.order_id = o.id
    WHERE o.strike_id = new.id AND (m.order_id IS NULL
      OR o.dealt_units IS DISTINCT FROM m.units OR o.dealt_price IS DISTINCT FROM m.price
      OR o.into_units <> m.bought OR m.bought > 0 AND o.into_price IS DISTINCT FROM m.into_price
      OR CASE WHEN o.kind IN ('redemption', 'switch')
        THEN abs(o.dealt_amount + o.fee_amount - m.worth) > m.cents + coalesce(e.rest, 0)
          OR o.fee_amount > m.worth * r.leaving + m.cents
          OR o.kind = 'switch' AND (o.into_fee > o.dealt_amount * i.entry + m.cents
            OR m.spent + o.into_fee > o.dealt_amount + m.cents)
        ELSE abs(o.dealt_amount - m.worth) > m.cents
          OR o.fee_amount > greatest(o.funded_amount, o.amount) * r.entry + m.cents END)
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'orders: % is not dealt as its units moved', bad
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER dealt_as_moved AFTER UPDATE ON investors_navstrike
  FOR EACH ROW WHEN (old.state = 'approved' AND new.state = 'dealt')
  EXECUTE FUNCTION investors_dealt_as_moved();
ALTER TABLE investors_navstrike ENABLE ALWAYS TRIGGER dealt_as_moved;
REVOKE ALL ON FUNCTION investors_dealt_as_moved FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0034_closed_by_a_decision")]
    operations = [
        migrations.RunSQL(FIXED, FIXED_BACK),
        migrations.RunSQL(MOVED, "DROP FUNCTION investors_dealt_as_moved() CASCADE;"),
    ]
