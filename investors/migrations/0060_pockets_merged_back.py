"""Side pockets come back: pocket units become main units at a NAV, as two people signed it.

And a wall for the value that a lot has in a pocket, also against rows that come beside a booking.
"""

from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields

SAY = r"""
CREATE OR REPLACE FUNCTION investors_say_pocket_change(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN g.kind = 'merge' THEN 'Merge side pocket SP-' || k.number || ' of '
        || wall_line(f.name) || ' (' || wall_line(f.code) || ') back into main units at its next '
        || 'NAV: ' || wall_line(k.asset) || E'\n' || 'Carried at: ' || trim_scale(g.merged) || ' '
        || wall_line(f.currency) || ', into account ' || wall_line(g.account)
        || E'\n' || 'Each lot pays the performance fee over its own mark; the rest buys units'
      ELSE 'Carry the claim of side pocket SP-' || k.number || ' of ' || wall_line(f.name) || ' ('
        || wall_line(f.code) || ') at ' || trim_scale(g.value) || ' ' || wall_line(f.currency)
        || ' from its next NAV on: ' || wall_line(k.asset) END
      || CASE WHEN g.cash > 0 THEN E'\n' || 'Pay to its holders: ' || trim_scale(g.cash) || ' '
        || wall_line(f.currency) || ', ' || coalesce('received as ' || investors_say_receipt(g.line_id),
        'paid by the venue') ELSE '' END
      || CASE WHEN g.value = 0 THEN E'\n' || 'The pocket is closed' ELSE '' END
      || E'\n' || 'It rests on: ' || wall_line(g.source)
      || E'\n' || 'Proposed by: ' || wall_account(g.proposed_by_id) || ', '
      || wall_when(g.proposed_at) || E'\n' || 'Change: ' || g.id
    FROM investors_pocketchange g JOIN investors_sidepocket k ON k.id = g.pocket_id
    JOIN investors_fund f ON f.id = k.fund_id
    WHERE g.id = p_subject AND g.decided_at IS NULL
$$;

CREATE OR REPLACE FUNCTION investors_say_pockets(p_strike uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce((SELECT string_agg(E'\n' || 'Set apart in side pocket ' || wall_line(x ->> 0)
      || ': ' || trim_scale((x ->> 1)::numeric), '' ORDER BY x ->> 0)
    FROM investors_navstrike s, jsonb_array_elements(s.inputs -> 'pockets') x
    WHERE s.id = p_strike), '')
  || coalesce((SELECT string_agg(CASE WHEN x ->> 3 IS NULL
      THEN E'\n' || 'Side pocket ' || wall_line(x ->> 0) || ': carried at '
        || trim_scale((x ->> 1)::numeric) || ', paid out ' || trim_scale((x ->> 2)::numeric)
      ELSE E'\n' || 'Side pocket ' || wall_line(x ->> 0) || ' merged back: '
        || trim_scale((x ->> 3)::numeric) || ' into account ' || wall_line(x ->> 4) END, ''
      ORDER BY x ->> 0)
    FROM investors_navstrike s, jsonb_array_elements(s.inputs -> 'pocket_changes') x
    WHERE s.id = p_strike), '')
$$;
"""

WALLS = r"""
-- Whether a booked change moved something else than was signed: the cash, the value and what comes
-- back, each lot by its part of the claim, and a fee above the class's rate on what is above the mark.
CREATE FUNCTION investors_change_fault(g investors_pocketchange) RETURNS boolean
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_custom_plan AS $$
DECLARE at timestamptz := (SELECT s.valuation_at FROM investors_navstrike s WHERE s.id = g.strike_id);
BEGIN
  RETURN EXISTS (
    WITH held AS (
      SELECT x.lot_id, sum(x.units) FILTER (WHERE x.strike_id IS DISTINCT FROM g.strike_id) AS had,
          sum(x.units) AS units, sum(x.value) AS value,
          max(x.price) FILTER (WHERE x.kind = 'created') AS price, max(x.high_water_mark) AS mark,
          -coalesce(sum(x.value) FILTER (WHERE x.kind IN ('paid', 'merged')
            AND x.strike_id = g.strike_id), 0) AS gross,
          coalesce(sum(x.fee) FILTER (WHERE x.strike_id = g.strike_id), 0) AS fee,
          bool_or(x.kind = CASE g.kind WHEN 'merge' THEN 'paid' ELSE 'merged' END
            AND x.strike_id = g.strike_id) AS other
        FROM investors_pocketentry x WHERE x.pocket_id = g.pocket_id AND x.effective_at <= at
        GROUP BY x.lot_id
    ), whole AS (
      SELECT sum(h.had * h.price) AS weight, sum(h.gross) AS gross, sum(h.value) AS value,
          sum(h.units) AS units FROM held h
    )
    SELECT 1 FROM held h CROSS JOIN whole w
      JOIN investors_unitlot l ON l.id = h.lot_id
      CROSS JOIN LATERAL (SELECT max((p.terms ->> 'performance_rate')::numeric) AS rate,
          max((p.terms ->> 'unit_quantum')::numeric) AS step
        FROM investors_classpolicyversion p WHERE p.share_class_id = l.share_class_id) t
      WHERE w.gross <> g.cash + g.merged OR w.value <> g.value OR g.value = 0 AND w.units <> 0
        OR h.units < 0 OR h.value < 0 OR h.other
        OR g.merged = 0 AND abs(h.gross - g.cash * h.had * h.price / w.weight) > 0.01
        OR abs(h.value - g.value * h.had * h.price / w.weight) > 0.01
        OR g.value > 0 AND abs(h.had - h.units - h.had * g.cash / (g.cash + g.value))
          > coalesce(t.step, 0.000001)
        OR h.fee > coalesce(t.rate, 0) * greatest(0, h.gross - (h.had - h.units) * h.mark) + 0.01);
END $$;

CREATE OR REPLACE FUNCTION investors_change_made() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF investors_change_fault(new) OR EXISTS (
      SELECT 1 FROM investors_pocketentry x
        JOIN investors_unitlot l ON l.id = x.lot_id
        JOIN investors_shareclass c ON c.id = l.share_class_id
        JOIN investors_classnav n ON n.strike_id = x.strike_id AND n.share_class_id = c.id
        CROSS JOIN LATERAL (SELECT max((p.terms ->> 'unit_quantum')::numeric) AS step
          FROM investors_classpolicyversion p WHERE p.share_class_id = c.id) q
        LEFT JOIN investors_unitentry u ON u.lot_id = x.into_id AND u.kind = 'merge'
          AND u.entry_id = x.entry_id
      WHERE x.pocket_id = new.pocket_id AND x.strike_id = new.strike_id AND x.kind = 'merged'
        AND u.id IS NULL AND (x.into_id IS NOT NULL OR -x.value - x.fee
          >= coalesce(q.step, 0.000001) * coalesce(n.price, c.launch_price))) THEN
    RAISE EXCEPTION 'pockets: another booking than was signed' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;

-- What is wrong with an entry that brings pockets back; null where nothing is.
CREATE FUNCTION investors_merge_fault(e investors_entry) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF e.kind <> 'side_pocket_merged' THEN
    RETURN NULL;
  END IF;
  IF EXISTS (SELECT 1 FROM (
        SELECT p.lot, p.instrument, -sum(p.amount) AS fee FROM investors_posting p
          WHERE p.entry_id = e.id AND p.account_id = '2120' GROUP BY 1, 2) posted
      FULL JOIN (
        SELECT x.lot_id AS lot, 'SP-' || k.number AS instrument, x.fee
          FROM investors_pocketentry x JOIN investors_sidepocket k ON k.id = x.pocket_id
          WHERE x.entry_id = e.id AND x.fee <> 0) taken USING (lot, instrument)
      WHERE posted.fee IS DISTINCT FROM taken.fee) THEN
    RETURN 'of another fee than its lots pay';
  ELSIF EXISTS (SELECT 1 FROM (
        SELECT p.lot, -sum(p.amount) AS cost FROM investors_posting p
          WHERE p.entry_id = e.id AND p.account_id = '3010' GROUP BY 1) posted
      FULL JOIN (
        SELECT u.lot_id AS lot, sum(u.units * u.price) AS cost FROM investors_unitentry u
          WHERE u.entry_id = e.id GROUP BY 1) bought USING (lot)
      WHERE abs(coalesce(posted.cost, 0) - coalesce(bought.cost, 0)) > 0.01) THEN
    RETURN 'of another capital than its units cost';
  ELSIF EXISTS (SELECT 1 FROM (
        SELECT p.account_id AS account, p.instrument, sum(p.amount) AS value
          FROM investors_posting p
          WHERE p.entry_id = e.id AND p.account_id IN ('1030', '1200') GROUP BY 1, 2) posted
      FULL JOIN (
        SELECT g.account, 'SP-' || k.number AS instrument, -sum(x.value) AS value
          FROM investors_pocketentry x JOIN investors_sidepocket k ON k.id = x.pocket_id
          JOIN investors_pocketchange g ON g.pocket_id = k.id AND g.strike_id = x.strike_id
          WHERE x.entry_id = e.id GROUP BY 1, 2 HAVING sum(x.value) <> 0) due
        USING (account, instrument)
      WHERE posted.value IS DISTINCT FROM due.value) THEN
    RETURN 'into another account than was signed';
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION investors_change_fault, investors_merge_fault FROM PUBLIC;
"""
UNWALLS = r"""
CREATE OR REPLACE FUNCTION investors_change_made() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE at timestamptz := (SELECT s.valuation_at FROM investors_navstrike s WHERE s.id = new.strike_id);
BEGIN
  IF EXISTS (
    WITH held AS (
      SELECT x.lot_id, sum(x.units) FILTER (WHERE x.strike_id <> new.strike_id) AS had,
          sum(x.units) AS units, sum(x.value) AS value,
          max(x.price) FILTER (WHERE x.kind = 'created') AS price, max(x.high_water_mark) AS mark,
          -coalesce(sum(x.value) FILTER (WHERE x.kind = 'paid' AND x.strike_id = new.strike_id), 0)
            AS gross,
          coalesce(sum(x.fee) FILTER (WHERE x.strike_id = new.strike_id), 0) AS fee
        FROM investors_pocketentry x WHERE x.pocket_id = new.pocket_id AND x.effective_at <= at
        GROUP BY x.lot_id
    ), whole AS (
      SELECT sum(h.had * h.price) AS weight, sum(h.gross) AS gross, sum(h.value) AS value,
          sum(h.units) AS units FROM held h
    )
    SELECT 1 FROM held h CROSS JOIN whole w
      JOIN investors_unitlot l ON l.id = h.lot_id
      CROSS JOIN LATERAL (SELECT max((p.terms ->> 'performance_rate')::numeric) AS rate,
          max((p.terms ->> 'unit_quantum')::numeric) AS step
        FROM investors_classpolicyversion p WHERE p.share_class_id = l.share_class_id) t
      WHERE w.gross <> new.cash OR w.value <> new.value OR new.value = 0 AND w.units <> 0
        OR h.units < 0 OR h.value < 0
        OR abs(h.gross - new.cash * h.had * h.price / w.weight) > 0.01
        OR abs(h.value - new.value * h.had * h.price / w.weight) > 0.01
        OR new.value > 0 AND abs(h.had - h.units - h.had * new.cash / (new.cash + new.value))
          > coalesce(t.step, 0.000001)
        OR h.fee > coalesce(t.rate, 0) * greatest(0, h.gross - (h.had - h.units) * h.mark) + 0.01) THEN
    RAISE EXCEPTION 'pockets: another booking than was signed' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END
$$;
DROP FUNCTION investors_change_fault(investors_pocketchange);
DROP FUNCTION investors_merge_fault;
"""

#: Lines that functions of earlier migrations take on: function, where, what stands there then.
LINES = (
    (
        "investors_entry_accounts(text)",
        "  END::text[]",
        "    WHEN 'side_pocket_merged' THEN '{1030,1200,1500,2120,3010,3020,3900,8010,8020}'\n"
        "  END::text[]",
    ),
    (
        "investors_entry_deals(investors_entry)",
        "'side_pocket_closed')",
        "'side_pocket_closed', 'side_pocket_merged')",
    ),
    (
        "investors_entry_fault(investors_entry)",
        "ELSE coalesce(investors_pocket_fault(e), investors_proceeds_fault(e),",
        "ELSE coalesce(investors_pocket_fault(e), investors_merge_fault(e),\n"
        "      investors_proceeds_fault(e),",
    ),
    (
        "investors_pocket_fault(investors_entry)",
        "'side_pocket_valued', 'side_pocket_realised')",
        "'side_pocket_valued', 'side_pocket_realised', 'side_pocket_merged')",
    ),
    (
        "investors_change_signed()",
        "        AND (x ->> 2)::numeric = old.cash)",
        "        AND (x ->> 2)::numeric = old.cash\n"
        "        AND coalesce((x ->> 3)::numeric, 0) = old.merged\n"
        "        AND coalesce(x ->> 4, '') = old.account)",
    ),
    # What a lot gives is its part of its class's part of the claim, to a cent.
    (
        "investors_pocket_units()",
        "      LEFT JOIN investors_entry e ON e.id = a.entry_id\n",
        "      LEFT JOIN LATERAL (SELECT (x ->> 'value')::numeric AS value,\n"
        "          (x ->> 'units')::numeric AS units FROM jsonb_array_elements(n.detail -> 'pockets') x\n"
        "        WHERE x ->> 'pocket' = 'SP-' || k.number) r ON true\n"
        "      LEFT JOIN investors_entry e ON e.id = a.entry_id\n",
    ),
    (
        "investors_pocket_units()",
        "        OR a.price <> n.price OR a.value < 0 OR",
        "        OR r.units IS NULL OR abs(a.value * r.units - r.value * a.units) > 0.01 * r.units\n"
        "        OR a.price <> n.price OR a.value < 0 OR",
    ),
    (
        "investors_pocket_moves()",
        "WHEN 'paid' THEN 'side_pocket_realised'\n",
        "WHEN 'paid' THEN 'side_pocket_realised'\n"
        "        WHEN 'merged' THEN 'side_pocket_merged'\n",
    ),
    (
        "investors_pocket_moves()",
        "          WHEN 'paid' THEN a.units > 0",
        "          WHEN 'merged' THEN a.units >= 0 OR a.value > 0 OR a.fee > -a.value\n"
        "          WHEN 'paid' THEN a.units > 0",
    ),
    # No row comes beside a booking: after each statement every lot has its part of what was signed.
    (
        "investors_pocket_moves()",
        "  RETURN NULL;\n",
        "  IF EXISTS (SELECT 1 FROM investors_pocketchange g WHERE (g.pocket_id, g.strike_id) IN (\n"
        "      SELECT a.pocket_id, a.strike_id FROM added a WHERE a.kind IN ('valued', 'paid',\n"
        "        'closed')) AND investors_change_fault(g)) THEN\n"
        "    RAISE EXCEPTION 'pockets: another booking than was signed'\n"
        "      USING ERRCODE = 'check_violation';\n"
        "  END IF;\n"
        "  RETURN NULL;\n",
    ),
    (
        "investors_flow_posted()",
        "      WHERE f.book = new.book AND new.amount = g.cash) THEN",
        "      WHERE f.book = new.book AND new.amount = g.cash)\n"
        "    AND NOT EXISTS (SELECT 1 FROM investors_fund f\n"
        "      JOIN investors_sidepocket k ON k.fund_id = f.id\n"
        "      JOIN investors_pocketchange g ON g.pocket_id = k.id AND g.strike_id IS NOT NULL\n"
        "        AND g.account = '1030' AND new.source_ref = 'pocket-merge:' || g.id\n"
        "      WHERE f.book = new.book AND new.amount = g.merged) THEN",
    ),
    (
        "investors_units_dealt()",
        "'distribution', 'side_pocket_out')\n"
        "    OR a.units < 0 AND a.kind IN ('issue', 'switch_in', 'transfer_in')\n"
        "    OR a.units > 0 AND a.kind NOT IN ('issue', 'switch_in', 'transfer_in')",
        "'distribution', 'side_pocket_out',\n"
        "      'merge')\n"
        "    OR a.units < 0 AND a.kind IN ('issue', 'switch_in', 'transfer_in', 'merge')\n"
        "    OR a.units > 0 AND a.kind NOT IN ('issue', 'switch_in', 'transfer_in', 'merge')",
    ),
    # Units of a merge are those that the lot's value buys less its fee, in a lot of the same holder
    # and days, at the mark that the rule gives: the price after a fee, else as far from it as before.
    (
        "investors_units_dealt()",
        "  IF EXISTS (SELECT 1 FROM added a WHERE a.kind = 'side_pocket_out'\n",
        "  IF EXISTS (SELECT 1 FROM added a JOIN investors_unitlot l ON l.id = a.lot_id\n"
        "      LEFT JOIN investors_pocketentry x ON x.into_id = a.lot_id AND x.kind = 'merged'\n"
        "        AND x.entry_id = a.entry_id AND x.strike_id = a.strike_id\n"
        "      LEFT JOIN investors_unitlot o ON o.id = x.lot_id AND o.id = l.parent_id\n"
        "        AND o.holding_id = l.holding_id AND o.dealing_day = l.dealing_day\n"
        "        AND o.lockup_until IS NOT DISTINCT FROM l.lockup_until\n"
        "      LEFT JOIN LATERAL (SELECT coalesce(max((p.terms ->> 'unit_quantum')::numeric), 0.000001)\n"
        "          AS step, coalesce(max((p.terms ->> 'price_quantum')::numeric), 0.000001) AS tick\n"
        "        FROM investors_classpolicyversion p WHERE p.share_class_id = l.share_class_id) q ON true\n"
        "      WHERE a.kind = 'merge' AND (o.id IS NULL OR l.entry_price <> a.price\n"
        "        OR (SELECT count(*) FROM investors_unitentry u WHERE u.lot_id = a.lot_id) <> 1\n"
        "        OR -x.value - x.fee - a.units * a.price NOT BETWEEN 0 AND q.step * a.price\n"
        "        OR NOT (a.high_water_mark = a.price AND a.hurdle_start::timestamp = date_trunc('day',\n"
        "              a.effective_at AT TIME ZONE 'UTC') AND x.high_water_mark < x.price\n"
        "          OR x.fee = 0 AND a.hurdle_start = x.hurdle_start AND a.high_water_mark\n"
        "            - x.high_water_mark * a.price / x.price\n"
        "            BETWEEN -0.000000000001 AND q.tick + 0.000000000001))) THEN\n"
        "    RAISE EXCEPTION 'units: a merge gives what its pocket units are worth'\n"
        "      USING ERRCODE = 'check_violation';\n"
        "  END IF;\n"
        "  IF EXISTS (SELECT 1 FROM added a WHERE a.kind = 'side_pocket_out'\n",
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
    dependencies = [
        ("investors", "0059_asked_accounts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.RemoveConstraint(
            model_name="pocketchange",
            name="investors_pocketchange_measured",
        ),
        migrations.AddField(
            model_name="pocketchange",
            name="account",
            field=models.CharField(
                blank=True,
                choices=[
                    ("1030", "Venue cash and margin"),
                    ("1200", "Receivables: trades, interest, cash in transit"),
                ],
                help_text="The account that a merged value comes into.",
                max_length=4,
            ),
        ),
        migrations.AddField(
            model_name="pocketchange",
            name="merged",
            field=magnetfund.core.fields.ExactField(
                default=0, help_text="What comes back into the classes as main units."
            ),
        ),
        migrations.AddField(
            model_name="pocketentry",
            name="into",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="investors.unitlot",
            ),
        ),
        migrations.AlterField(
            model_name="pocketchange",
            name="kind",
            field=models.CharField(
                choices=[
                    ("value", "New value"),
                    ("cash", "Cash paid out"),
                    ("merge", "Merged back"),
                ],
                max_length=5,
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
                ],
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketchange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("merged__gte", 0), ("merged__lt", Decimal("1E+20"))),
                    ("merged__isnull", True),
                    _connector="OR",
                ),
                name="investors_pocketchange_merged_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketchange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("account", ""),
                        ("cash", 0),
                        ("kind", "value"),
                        ("line", None),
                        ("merged", 0),
                    ),
                    models.Q(("account", ""), ("cash__gt", 0), ("kind", "cash"), ("merged", 0)),
                    models.Q(
                        ("cash", 0),
                        ("kind", "merge"),
                        ("line", None),
                        ("merged__gt", 0),
                        ("value", 0),
                        ("account__in", ("1030", "1200")),
                    ),
                    _connector="OR",
                ),
                name="investors_pocketchange_measured",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketentry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "merged")),
                fields=("into",),
                name="investors_pocketentry_into_once",
            ),
        ),
        migrations.RunSQL(SAY + WALLS, UNWALLS),
        migrations.RunSQL(
            [_put(*line) for line in LINES],
            [_put(name, new, old) for name, old, new in reversed(LINES)],
        ),
    ]
