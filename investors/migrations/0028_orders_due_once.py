"""Units are held against the orders that are due, which are read once for each statement.

They were read anew for each row: a strike that deals ten thousand orders looked at each of them ten
thousand times.  What is refused is the same.
"""

from django.db import migrations

BEFORE = r"""
CREATE OR REPLACE FUNCTION investors_units_dealt() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE bad text;
BEGIN
  SELECT a.kind INTO bad FROM added a WHERE a.kind NOT IN ('issue', 'redeem', 'fee_cancel',
      'switch_out', 'switch_in', 'transfer_out', 'transfer_in', 'clock', 'distribution')
    OR a.units < 0 AND a.kind IN ('issue', 'switch_in', 'transfer_in')
    OR a.units > 0 AND a.kind NOT IN ('issue', 'switch_in', 'transfer_in')
    OR a.units <> 0 AND a.kind = 'distribution' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'units: % is no such movement', bad USING ERRCODE = 'check_violation';
  END IF;
  SELECT a.kind INTO bad FROM added a JOIN investors_unitlot l ON l.id = a.lot_id
    JOIN investors_shareclass c ON c.id = l.share_class_id
    LEFT JOIN investors_navstrike s ON s.id = a.strike_id AND s.state = 'approved'
      AND s.fund_id = c.fund_id AND s.valuation_at = a.effective_at
    LEFT JOIN investors_classnav n ON n.strike_id = s.id AND n.share_class_id = c.id
    WHERE a.kind NOT IN ('transfer_out', 'transfer_in', 'distribution')
      AND (n.id IS NULL OR a.price <> coalesce(n.price, c.launch_price)
        OR a.high_water_mark <> CASE WHEN a.kind IN ('issue', 'switch_in', 'fee_cancel')
          THEN a.price ELSE l.high_water_mark END) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'units: % without a NAV that is being dealt at this price', bad
      USING ERRCODE = 'check_violation';
  END IF;
"""

EACH = r"""  SELECT a.kind INTO bad FROM added a JOIN investors_unitlot l ON l.id = a.lot_id
    JOIN investors_holding h ON h.id = l.holding_id
    LEFT JOIN investors_dealingorder o ON o.id = a.order_id AND o.investor_id = h.investor_id
      AND CASE a.kind WHEN 'issue' THEN o.kind IN ('subscription', 'reinvestment')
        WHEN 'redeem' THEN o.kind = 'redemption' ELSE o.kind = 'switch' END
      AND CASE a.kind WHEN 'switch_in' THEN o.into_class_id ELSE o.share_class_id END
        = l.share_class_id
    WHERE a.kind IN ('issue', 'redeem', 'switch_out', 'switch_in')
      AND (o.id IS NULL OR NOT EXISTS (SELECT 1 FROM investors_orders_due(a.strike_id) d
        WHERE d.id = o.id)) LIMIT 1;
"""

ONCE = r"""  WITH due AS MATERIALIZED (SELECT n.strike_id, d.id FROM (SELECT DISTINCT a.strike_id FROM added a
        WHERE a.kind IN ('issue', 'redeem', 'switch_out', 'switch_in')) n
      CROSS JOIN LATERAL investors_orders_due(n.strike_id) d)
  SELECT a.kind INTO bad FROM added a JOIN investors_unitlot l ON l.id = a.lot_id
    JOIN investors_holding h ON h.id = l.holding_id
    LEFT JOIN investors_dealingorder o ON o.id = a.order_id AND o.investor_id = h.investor_id
      AND CASE a.kind WHEN 'issue' THEN o.kind IN ('subscription', 'reinvestment')
        WHEN 'redeem' THEN o.kind = 'redemption' ELSE o.kind = 'switch' END
      AND CASE a.kind WHEN 'switch_in' THEN o.into_class_id ELSE o.share_class_id END
        = l.share_class_id
    LEFT JOIN due ON due.strike_id = a.strike_id AND due.id = o.id
    WHERE a.kind IN ('issue', 'redeem', 'switch_out', 'switch_in') AND due.id IS NULL LIMIT 1;
"""

AFTER = r"""  IF FOUND THEN
    RAISE EXCEPTION 'units: % without an order of this holder that is due', bad
      USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM investors_dealingorder o JOIN investors_unitentry u ON u.order_id = o.id
      WHERE u.kind = 'issue' AND o.id IN (SELECT a.order_id FROM added a WHERE a.kind = 'issue')
      GROUP BY o.id, o.funded_amount HAVING sum(u.units * u.price) > o.funded_amount + 0.01) THEN
    RAISE EXCEPTION 'units: more than the money of the order buys'
      USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM investors_dealingorder o JOIN investors_unitentry u ON u.order_id = o.id
      WHERE u.kind IN ('redeem', 'switch_out') AND NOT o.is_all
        AND (o.id, u.strike_id) IN (SELECT a.order_id, a.strike_id FROM added a
          WHERE a.kind IN ('redeem', 'switch_out'))
      GROUP BY o.id, o.units HAVING sum(-u.units) > o.units) THEN
    RAISE EXCEPTION 'units: more than the order takes' USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM investors_unitentry u
      WHERE u.kind IN ('switch_in', 'switch_out') AND (u.order_id, u.strike_id) IN (
        SELECT a.order_id, a.strike_id FROM added a WHERE a.kind = 'switch_in')
      GROUP BY u.order_id HAVING sum(u.units * u.price) > 0.01) THEN
    RAISE EXCEPTION 'units: a switch buys no more than it leaves' USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM added a JOIN investors_unitlot l ON l.id = a.lot_id
      LEFT JOIN investors_entry e ON e.id = a.entry_id
      LEFT JOIN investors_distribution d ON e.source_ref = 'distribution_declared:' || d.id
        AND d.share_class_id = l.share_class_id
      WHERE a.kind = 'distribution' AND (d.id IS NULL OR d.is_approved IS FALSE
        OR a.high_water_mark > l.high_water_mark)) THEN
    RAISE EXCEPTION 'units: a mark falls with a distribution alone'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0027_named_receipts")]

    operations = [migrations.RunSQL(BEFORE + ONCE + AFTER, BEFORE + EACH + AFTER)]
