"""Pocket units go along when the main units of their lot are transferred to another holder."""

import django.db.models.deletion
from django.db import migrations, models

WALLS = r"""
-- Whether a transfer took from a lot of every side pocket what goes along with its main units: the
-- same proportion in whole steps, all of it with all of them.  As of the transfer: what was written
-- since does not count.
CREATE FUNCTION investors_pocket_carried(p_lot uuid, p_entry uuid) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH told AS (
    SELECT e.effective_at AS at,
        (SELECT max(u.id) FROM investors_unitentry u WHERE u.entry_id = e.id) AS unit,
        (SELECT max(x.id) FROM investors_pocketentry x WHERE x.entry_id = e.id) AS pocket
      FROM investors_entry e WHERE e.id = p_entry
  ), main AS (
    SELECT coalesce((SELECT sum(u.units) FROM investors_unitentry u, told t WHERE u.lot_id = l.id
          AND CASE WHEN t.unit IS NULL THEN u.effective_at <= t.at ELSE u.id <= t.unit END), 0)
        AS stay,
      coalesce((SELECT -sum(u.units) FROM investors_unitentry u
        WHERE u.lot_id = l.id AND u.entry_id = p_entry AND u.kind = 'transfer_out'), 0) AS gone,
      coalesce((SELECT max((p.terms ->> 'unit_quantum')::numeric)
        FROM investors_classpolicyversion p WHERE p.share_class_id = l.share_class_id),
        0.000001) AS step
      FROM investors_unitlot l WHERE l.id = p_lot
  ), part AS (
    SELECT sum(x.units) AS units, sum(x.value) AS value,
        coalesce(-sum(x.units) FILTER (WHERE x.entry_id = p_entry), 0) AS taken,
        coalesce(-sum(x.value) FILTER (WHERE x.entry_id = p_entry), 0) AS paid
      FROM investors_pocketentry x, told t WHERE x.lot_id = p_lot AND CASE WHEN t.pocket IS NULL
          THEN x.effective_at <= t.at ELSE x.id <= t.pocket END
      GROUP BY x.pocket_id
  )
  SELECT NOT EXISTS (SELECT 1 FROM main m CROSS JOIN part p
    WHERE p.units < 0 OR p.value < 0 OR CASE WHEN m.stay = 0 THEN p.units <> 0 OR p.value <> 0
      ELSE (p.units + p.taken) * m.gone / (m.stay + m.gone) - p.taken
          NOT BETWEEN -0.000000000001 AND m.step
        OR p.taken > 0 AND abs((p.value + p.paid) * p.taken / (p.units + p.taken) - p.paid) > 0.01
        OR p.taken = 0 AND p.paid <> 0 END)
$$;

-- As it commits: both movements of a transferred part are there, once, between the lots of its
-- holders, with the price, mark and clock that the part had.
CREATE FUNCTION investors_pocket_transferred() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  SELECT p.* INTO r FROM investors_entry e
    JOIN investors_dealingproposal p ON e.source_ref = 'units_transferred:' || p.id
    WHERE e.id = new.entry_id AND p.kind = 'transfer' AND p.is_approved;
  IF NOT FOUND OR new.strike_id IS NOT NULL OR new.fee <> 0
      OR (SELECT count(*) FROM investors_pocketentry x WHERE x.pocket_id = new.pocket_id
        AND x.lot_id = new.lot_id AND x.entry_id = new.entry_id) <> 1
      OR NOT EXISTS (SELECT 1 FROM investors_unitlot l
        JOIN investors_holding h ON h.id = l.holding_id
        WHERE l.id = new.lot_id AND l.share_class_id = r.share_class_id AND h.investor_id
          = CASE new.kind WHEN 'transfer_out' THEN r.investor_id ELSE r.receiver_id END)
      OR NOT EXISTS (SELECT 1 FROM investors_pocketentry g
        JOIN investors_pocketentry t ON t.lot_id = g.into_id AND t.kind = 'transfer_in'
          AND t.entry_id = g.entry_id AND t.pocket_id = g.pocket_id AND t.into_id IS NULL
          AND (t.units, t.value, t.price, t.high_water_mark, t.hurdle_start, t.effective_at)
            = (-g.units, -g.value, g.price, g.high_water_mark, g.hurdle_start, g.effective_at)
        JOIN investors_unitlot l ON l.id = t.lot_id AND l.parent_id = g.lot_id
        JOIN investors_pocketentry m ON m.lot_id = g.lot_id AND m.pocket_id = g.pocket_id
          AND m.kind IN ('created', 'transfer_in')
          AND (m.price, m.high_water_mark, m.hurdle_start)
            = (g.price, g.high_water_mark, g.hurdle_start)
        WHERE g.kind = 'transfer_out' AND g.entry_id = new.entry_id
          AND g.pocket_id = new.pocket_id AND g.units < 0 AND g.value <= 0
          AND new.id IN (g.id, t.id))
      OR new.kind = 'transfer_out' AND NOT (investors_pocket_carried(new.lot_id, new.entry_id)
        AND (r.is_all OR EXISTS (SELECT 1 FROM investors_unitentry u WHERE u.lot_id = new.lot_id
          AND u.entry_id = new.entry_id AND u.kind = 'transfer_out'))) THEN
    RAISE EXCEPTION 'pockets: a transfer takes along what its units have'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER pocket_transferred AFTER INSERT ON investors_pocketentry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.kind IN ('transfer_out', 'transfer_in'))
  EXECUTE FUNCTION investors_pocket_transferred();
ALTER TABLE investors_pocketentry ENABLE ALWAYS TRIGGER pocket_transferred;
REVOKE ALL ON FUNCTION investors_pocket_carried, investors_pocket_transferred FROM PUBLIC;
"""
UNWALLS = """
DROP FUNCTION investors_pocket_transferred() CASCADE;
DROP FUNCTION investors_pocket_carried;
"""

#: Lines that functions of earlier migrations take on: function, where, what stands there then.
LINES = (
    # The signer of a transfer reads which side pockets it takes along.
    (
        "investors_say_dealing(uuid)",
        "    RETURN investors_content('dealing.approve', p_subject);",
        "    RETURN investors_content('dealing.approve', p_subject) || coalesce((SELECT E'\\n'\n"
        "        || 'Their part of side pockets goes along: ' || string_agg('SP-' || k.number, ', '\n"
        "          ORDER BY k.number)\n"
        "      FROM (SELECT k.number FROM investors_pocketentry x\n"
        "        JOIN investors_sidepocket k ON k.id = x.pocket_id\n"
        "        JOIN investors_unitlot l ON l.id = x.lot_id\n"
        "        JOIN investors_holding h ON h.id = l.holding_id\n"
        "        WHERE h.investor_id = r.investor_id AND l.share_class_id = r.share_class_id\n"
        "        GROUP BY k.number HAVING sum(x.units) > 0) k), '');",
    ),
    (
        "investors_entry_accounts(text)",
        "'{3010,3100,8010,8020}'",
        "'{3010,3020,3100,8010,8020}'",
    ),
    (
        "investors_pocket_fault(investors_entry)",
        "'side_pocket_realised', 'side_pocket_merged')",
        "'side_pocket_realised', 'side_pocket_merged',\n      'units_transferred')",
    ),
    (
        "investors_pocket_moves()",
        "        AND m.kind = 'created' AND",
        "        AND m.kind IN ('created', 'transfer_in') AND",
    ),
    (
        "investors_pocket_moves()",
        "      WHERE a.kind <> 'created' AND (s.id IS NULL",
        "      WHERE a.kind NOT IN ('created', 'transfer_out', 'transfer_in') AND (s.id IS NULL",
    ),
    (
        "investors_change_fault(investors_pocketchange)",
        "FILTER (WHERE x.kind = 'created') AS price",
        "FILTER (WHERE x.kind IN ('created', 'transfer_in')) AS price",
    ),
    (
        "investors_units_transferred()",
        "  RETURN NULL;\n",
        "  IF new.kind = 'transfer_out' AND NOT investors_pocket_carried(new.lot_id, new.entry_id) THEN\n"
        "    RAISE EXCEPTION 'pockets: a transfer takes along what its units have'\n"
        "      USING ERRCODE = 'check_violation';\n"
        "  END IF;\n"
        "  RETURN NULL;\n",
    ),
)


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
    dependencies = [("investors", "0060_pockets_merged_back")]
    operations = [
        migrations.AlterField(
            model_name="pocketentry",
            name="strike",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="investors.navstrike",
            ),
        ),
        migrations.AlterField(
            model_name="pocketentry",
            name="kind",
            field=models.CharField(
                choices=[
                    ("created", "Set apart"),
                    ("valued", "New value"),
                    ("paid", "Paid to the holder"),
                    ("closed", "Nothing is left"),
                    ("merged", "Merged back into main units"),
                    ("transfer_out", "Transferred to another holder"),
                    ("transfer_in", "Transferred from another holder"),
                ],
                max_length=12,
            ),
        ),
        migrations.RunSQL(WALLS, UNWALLS),
        migrations.RunSQL(
            [_put(*line) for line in LINES],
            [_put(name, new, old) for name, old, new in reversed(LINES)],
        ),
    ]
