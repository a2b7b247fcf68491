"""The movements of each order of a NAV are asked for by its key, whatever statistics say.

Those of the strike that becomes dealt are all new, and the planner took them for none: it compared
each order with the movements of all, and 30,000 orders of one day ran into the statement's timeout.
"""

from django.db import migrations

MOVED = r"""
CREATE OR REPLACE FUNCTION investors_dealt_as_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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
  WITH rates AS MATERIALIZED (
    SELECT p.share_class_id AS class, max((p.terms ->> 'entry_fee_rate')::numeric) AS entry,
        max((p.terms ->> 'exit_fee_rate')::numeric
          + (p.terms ->> 'soft_lock_fee_rate')::numeric) AS leaving,
        max((p.terms ->> 'price_quantum')::numeric) AS step
      FROM investors_classpolicyversion p JOIN investors_shareclass c ON c.id = p.share_class_id
      WHERE c.fund_id = new.fund_id GROUP BY p.share_class_id
  ), emptied AS MATERIALIZED (
    SELECT n.share_class_id AS class, 0.01 * count(*) + n.units * r.step AS rest
      FROM investors_classnav n JOIN rates r ON r.class = n.share_class_id
      JOIN investors_unitlot l ON l.share_class_id = n.share_class_id
      JOIN investors_unitentry u ON u.lot_id = l.id AND u.strike_id = n.strike_id AND u.units < 0
      WHERE n.strike_id = new.id GROUP BY n.share_class_id, n.units, r.step
      HAVING sum(-u.units) >= n.units
  )
  SELECT o.id INTO bad FROM investors_dealingorder o
    JOIN rates r ON r.class = o.share_class_id
    LEFT JOIN rates i ON i.class = o.into_class_id
    LEFT JOIN emptied e ON e.class = o.share_class_id
    CROSS JOIN LATERAL (
      SELECT count(*) AS movements,
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
        WHERE u.order_id = o.id) m
    WHERE o.strike_id = new.id AND (m.movements = 0
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
"""
BACK = r"""
CREATE OR REPLACE FUNCTION investors_dealt_as_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0043_payments_in_the_books")]
    operations = [migrations.RunSQL(MOVED, BACK)]
