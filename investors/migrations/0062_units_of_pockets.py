"""What units have to do with side pockets is checked by whole sets, also at 100,000 lots.

A plan that walks rows one by one was chosen while a NAV is dealt, whose rows no statistics know.
"""

from django.db import migrations

WALL = r"""
CREATE FUNCTION investors_units_of_pockets() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_custom_plan
  SET enable_nestloop = off SET jit = off AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM added a WHERE a.kind IN ('side_pocket_out', 'merge')) THEN
    RETURN NULL;
  END IF;
  IF EXISTS (SELECT 1 FROM (
        SELECT a.lot_id, a.entry_id, -sum(a.units) AS units FROM added a
          WHERE a.kind = 'side_pocket_out' GROUP BY a.lot_id, a.entry_id) o
      LEFT JOIN (
        SELECT x.lot_id, x.entry_id, sum(x.units) AS units FROM investors_pocketentry x
          WHERE x.entry_id IN (SELECT a.entry_id FROM added a WHERE a.kind = 'side_pocket_out')
          GROUP BY x.lot_id, x.entry_id) i USING (lot_id, entry_id)
      WHERE o.units IS DISTINCT FROM i.units) THEN
    RAISE EXCEPTION 'units: what leaves for a side pocket comes into it'
      USING ERRCODE = 'check_violation';
  END IF;
  -- Units of a merge are those that the lot's value buys less its fee, in a new lot of the same
  -- holder and days, at the mark that the rule gives: the price after a fee, else as far from it as
  -- before.
  IF EXISTS (SELECT 1 FROM added a JOIN investors_unitlot l ON l.id = a.lot_id
      LEFT JOIN (SELECT x.* FROM investors_pocketentry x WHERE x.kind = 'merged'
          AND x.entry_id IN (SELECT m.entry_id FROM added m WHERE m.kind = 'merge')) x
        ON x.into_id = a.lot_id AND x.entry_id = a.entry_id AND x.strike_id = a.strike_id
      LEFT JOIN investors_unitlot o ON o.id = x.lot_id AND o.id = l.parent_id
        AND o.holding_id = l.holding_id AND o.dealing_day = l.dealing_day
        AND o.lockup_until IS NOT DISTINCT FROM l.lockup_until
      LEFT JOIN (SELECT p.share_class_id,
            coalesce(max((p.terms ->> 'unit_quantum')::numeric), 0.000001) AS step,
            coalesce(max((p.terms ->> 'price_quantum')::numeric), 0.000001) AS tick
          FROM investors_classpolicyversion p GROUP BY p.share_class_id) q
        ON q.share_class_id = l.share_class_id
      WHERE a.kind = 'merge' AND (o.id IS NULL OR l.units <> 0 OR l.entry_price <> a.price
        OR -x.value - x.fee - a.units * a.price NOT BETWEEN 0 AND q.step * a.price
        OR NOT (a.high_water_mark = a.price AND a.hurdle_start::timestamp = date_trunc('day',
              a.effective_at AT TIME ZONE 'UTC') AND x.high_water_mark < x.price
          OR x.fee = 0 AND a.hurdle_start = x.hurdle_start AND a.high_water_mark
            - x.high_water_mark * a.price / x.price
            BETWEEN -0.000000000001 AND q.tick + 0.000000000001)))
    OR EXISTS (SELECT 1 FROM added a WHERE a.kind = 'merge'
      GROUP BY a.lot_id HAVING count(*) > 1) THEN
    RAISE EXCEPTION 'units: a merge gives what its pocket units are worth'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION investors_units_of_pockets FROM PUBLIC;
-- Before the units come into their lots: a lot of a merge has none yet.
CREATE TRIGGER dealt_units_of_pockets AFTER INSERT ON investors_unitentry
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION investors_units_of_pockets();
ALTER TABLE investors_unitentry ENABLE ALWAYS TRIGGER dealt_units_of_pockets;

ALTER FUNCTION investors_change_fault(investors_pocketchange) SET enable_nestloop = off;
ALTER FUNCTION investors_change_fault(investors_pocketchange) SET jit = off;
ALTER FUNCTION investors_change_made() SET enable_nestloop = off;
ALTER FUNCTION investors_change_made() SET jit = off;
ALTER FUNCTION investors_pocket_made() SET enable_nestloop = off;
ALTER FUNCTION investors_pocket_made() SET jit = off;
ALTER FUNCTION investors_pocket_units() SET enable_nestloop = off;
ALTER FUNCTION investors_pocket_units() SET jit = off;
ALTER FUNCTION investors_pocket_moves() SET enable_nestloop = off;
ALTER FUNCTION investors_pocket_moves() SET jit = off;
"""
UNWALL = """
DROP FUNCTION investors_units_of_pockets() CASCADE;
ALTER FUNCTION investors_change_fault(investors_pocketchange) RESET enable_nestloop;
ALTER FUNCTION investors_change_fault(investors_pocketchange) RESET jit;
ALTER FUNCTION investors_change_made() RESET enable_nestloop;
ALTER FUNCTION investors_change_made() RESET jit;
ALTER FUNCTION investors_pocket_made() RESET enable_nestloop;
ALTER FUNCTION investors_pocket_made() RESET jit;
ALTER FUNCTION investors_pocket_units() RESET enable_nestloop;
ALTER FUNCTION investors_pocket_units() RESET jit;
ALTER FUNCTION investors_pocket_moves() RESET enable_nestloop;
ALTER FUNCTION investors_pocket_moves() RESET jit;
"""
#: What ``investors_units_dealt`` asked row by row, and what stands after it.
BY_ROW = """\
  IF EXISTS (SELECT 1 FROM added a JOIN investors_unitlot l ON l.id = a.lot_id
      LEFT JOIN investors_pocketentry x ON x.into_id = a.lot_id AND x.kind = 'merged'
        AND x.entry_id = a.entry_id AND x.strike_id = a.strike_id
      LEFT JOIN investors_unitlot o ON o.id = x.lot_id AND o.id = l.parent_id
        AND o.holding_id = l.holding_id AND o.dealing_day = l.dealing_day
        AND o.lockup_until IS NOT DISTINCT FROM l.lockup_until
      LEFT JOIN LATERAL (SELECT coalesce(max((p.terms ->> 'unit_quantum')::numeric), 0.000001)
          AS step, coalesce(max((p.terms ->> 'price_quantum')::numeric), 0.000001) AS tick
        FROM investors_classpolicyversion p WHERE p.share_class_id = l.share_class_id) q ON true
      WHERE a.kind = 'merge' AND (o.id IS NULL OR l.entry_price <> a.price
        OR (SELECT count(*) FROM investors_unitentry u WHERE u.lot_id = a.lot_id) <> 1
        OR -x.value - x.fee - a.units * a.price NOT BETWEEN 0 AND q.step * a.price
        OR NOT (a.high_water_mark = a.price AND a.hurdle_start::timestamp = date_trunc('day',
              a.effective_at AT TIME ZONE 'UTC') AND x.high_water_mark < x.price
          OR x.fee = 0 AND a.hurdle_start = x.hurdle_start AND a.high_water_mark
            - x.high_water_mark * a.price / x.price
            BETWEEN -0.000000000001 AND q.tick + 0.000000000001))) THEN
    RAISE EXCEPTION 'units: a merge gives what its pocket units are worth'
      USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM added a WHERE a.kind = 'side_pocket_out'
      AND -a.units IS DISTINCT FROM (SELECT sum(x.units) FROM investors_pocketentry x
        WHERE x.lot_id = a.lot_id AND x.entry_id = a.entry_id)) THEN
    RAISE EXCEPTION 'units: what leaves for a side pocket comes into it'
      USING ERRCODE = 'check_violation';
  END IF;
"""
AFTER = """\
  IF EXISTS (SELECT 1 FROM added a JOIN investors_unitlot l ON l.id = a.lot_id
      LEFT JOIN investors_entry e ON e.id = a.entry_id"""


def _put(function: str, old: str, new: str) -> str:
    """Put one text in the place of another in a function as it stands, whichever migration wrote
    it last; a function that has it not once is not the one that this was written for."""
    return f"""
DO $put$
DECLARE was text := pg_get_functiondef('{function}'::regprocedure); old text := $old${old}$old$;
BEGIN
  IF (length(was) - length(replace(was, old, ''))) <> length(old) THEN
    RAISE EXCEPTION '{function} does not have once: %', old;
  END IF;
  EXECUTE replace(was, old, $new${new}$new$);
END $put$;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0061_pockets_transferred")]
    operations = [
        migrations.RunSQL(WALL, UNWALL),
        migrations.RunSQL(
            _put("investors_units_dealt()", BY_ROW + AFTER, AFTER),
            _put("investors_units_dealt()", AFTER, BY_ROW + AFTER),
        ),
    ]
