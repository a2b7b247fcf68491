"""What a claim in a side pocket came to: values and cash that two people sign, owed by its units."""

import uuid
from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

SAY = r"""
CREATE FUNCTION investors_say_pocket_change(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Carry the claim of side pocket SP-' || k.number || ' of ' || wall_line(f.name) || ' ('
      || wall_line(f.code) || ') at ' || trim_scale(g.value) || ' ' || wall_line(f.currency)
      || ' from its next NAV on: ' || wall_line(k.asset)
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
REVOKE ALL ON FUNCTION investors_say_pocket_change FROM PUBLIC;

CREATE OR REPLACE FUNCTION investors_say_pockets(p_strike uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce((SELECT string_agg(E'\n' || 'Set apart in side pocket ' || wall_line(x ->> 0)
      || ': ' || trim_scale((x ->> 1)::numeric), '' ORDER BY x ->> 0)
    FROM investors_navstrike s, jsonb_array_elements(s.inputs -> 'pockets') x
    WHERE s.id = p_strike), '')
  || coalesce((SELECT string_agg(E'\n' || 'Side pocket ' || wall_line(x ->> 0) || ': carried at '
      || trim_scale((x ->> 1)::numeric) || ', paid out ' || trim_scale((x ->> 2)::numeric), ''
      ORDER BY x ->> 0)
    FROM investors_navstrike s, jsonb_array_elements(s.inputs -> 'pocket_changes') x
    WHERE s.id = p_strike), '')
$$;
"""

WALLS = r"""
REVOKE ALL ON "investors_pocketchange" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_pocketchange" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_pocketchange" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved", "reason", "strike_id", "withdrawn_at")
  ON "investors_pocketchange" TO fa_app, fa_gateway;

CREATE FUNCTION investors_change_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fund record;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved, new.strike_id,
        new.withdrawn_at) <> 0 THEN
      RAISE EXCEPTION 'pockets: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  SELECT f.id, f.book, k.number INTO STRICT fund FROM investors_sidepocket k
    JOIN investors_fund f ON f.id = k.fund_id WHERE k.id = old.pocket_id;
  IF old.is_approved IS NULL THEN
    IF num_nonnulls(new.strike_id, new.withdrawn_at) <> 0 THEN
      RAISE EXCEPTION 'pockets: it is decided first' USING ERRCODE = 'check_violation';
    END IF;
    IF new.is_approved IS NOT NULL THEN
      PERFORM authority_two_people('pockets', old.proposed_by_id, new.decided_by_id);
      PERFORM authority_signed(CASE WHEN new.is_approved THEN 'pocket_change.approve'
        ELSE 'pocket_change.decline' END, old.id, new.decided_by_id, fund.book,
        interval '15 minutes');
    END IF;
    RETURN new;
  END IF;
  IF (new.decided_by_id, new.decided_at, new.is_approved, new.reason)
      IS DISTINCT FROM (old.decided_by_id, old.decided_at, old.is_approved, old.reason) THEN
    RAISE EXCEPTION 'pockets: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF old.strike_id IS NOT NULL AND new.strike_id IS DISTINCT FROM old.strike_id
      OR old.withdrawn_at IS NOT NULL AND new.withdrawn_at IS DISTINCT FROM old.withdrawn_at THEN
    RAISE EXCEPTION 'pockets: it is booked or withdrawn once' USING ERRCODE = 'check_violation';
  END IF;
  IF new.strike_id IS DISTINCT FROM old.strike_id AND NOT EXISTS (
      SELECT 1 FROM investors_navstrike s, jsonb_array_elements(s.inputs -> 'pocket_changes') x
      WHERE s.id = new.strike_id AND s.fund_id = fund.id AND s.state = 'approved'
        AND x ->> 0 = 'SP-' || fund.number AND (x ->> 1)::numeric = old.value
        AND (x ->> 2)::numeric = old.cash) THEN
    RAISE EXCEPTION 'pockets: no NAV that is being dealt books it' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER change_signed BEFORE INSERT OR UPDATE ON "investors_pocketchange"
  FOR EACH ROW EXECUTE FUNCTION investors_change_signed();
ALTER TABLE "investors_pocketchange" ENABLE ALWAYS TRIGGER change_signed;
CREATE TRIGGER decided_now BEFORE INSERT OR UPDATE ON "investors_pocketchange"
  FOR EACH ROW EXECUTE FUNCTION authority_time_of_decision('decided_by_id', 'decided_at');
ALTER TABLE "investors_pocketchange" ENABLE ALWAYS TRIGGER decided_now;

-- A movement after the creation belongs to a change of the NAV that is being dealt, keeps the lot's
-- mark and clock, and runs one way.
CREATE FUNCTION investors_pocket_moves() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM added a
      LEFT JOIN investors_pocketchange g ON g.pocket_id = a.pocket_id AND g.strike_id = a.strike_id
      LEFT JOIN investors_navstrike s ON s.id = g.strike_id AND s.state = 'approved'
        AND s.valuation_at = a.effective_at
      LEFT JOIN investors_unitlot l ON l.id = a.lot_id
      LEFT JOIN investors_shareclass c ON c.id = l.share_class_id
      LEFT JOIN investors_entry e ON e.id = a.entry_id AND e.source_ref = CASE a.kind
        WHEN 'valued' THEN 'side_pocket_valued' WHEN 'paid' THEN 'side_pocket_realised'
        ELSE 'side_pocket_closed' END || ':' || s.id || ':' || c.code
      LEFT JOIN investors_pocketentry m ON m.pocket_id = a.pocket_id AND m.lot_id = a.lot_id
        AND m.kind = 'created' AND m.high_water_mark = a.high_water_mark
        AND m.hurdle_start = a.hurdle_start
      WHERE a.kind <> 'created' AND (s.id IS NULL OR e.id IS NULL OR m.id IS NULL
        OR CASE a.kind WHEN 'valued' THEN a.units <> 0 OR a.fee <> 0
          WHEN 'paid' THEN a.units > 0 OR a.value >= 0 OR a.fee > -a.value
          ELSE a.units >= 0 OR a.value <> 0 OR a.fee <> 0 END) OR a.kind = 'created' AND a.fee <> 0)
  THEN
    RAISE EXCEPTION 'pockets: a movement that no signed change makes'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER pocket_moves AFTER INSERT ON "investors_pocketentry" REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION investors_pocket_moves();
ALTER TABLE "investors_pocketentry" ENABLE ALWAYS TRIGGER pocket_moves;

-- As it commits: the cash and the value that were signed, each lot by its part of the claim, and a
-- fee no higher than the class's rate on what is above the mark.
CREATE FUNCTION investors_change_made() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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
END $$;
CREATE CONSTRAINT TRIGGER change_made AFTER UPDATE ON "investors_pocketchange"
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (old.strike_id IS NULL AND new.strike_id IS NOT NULL)
  EXECUTE FUNCTION investors_change_made();
ALTER TABLE "investors_pocketchange" ENABLE ALWAYS TRIGGER change_made;

-- What is wrong with an entry of what side pockets owe; null where nothing is.
CREATE FUNCTION investors_proceeds_fault(e investors_entry) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF e.kind = 'side_pocket_realised' AND EXISTS (SELECT 1 FROM (
        SELECT p.lot, p.instrument, -sum(p.amount) AS owed FROM investors_posting p
          WHERE p.entry_id = e.id AND p.account_id = '2040' GROUP BY p.lot, p.instrument) posted
      FULL JOIN (
        SELECT x.lot_id AS lot, 'SP-' || k.number AS instrument, -x.value - x.fee AS owed
          FROM investors_pocketentry x JOIN investors_sidepocket k ON k.id = x.pocket_id
          WHERE x.entry_id = e.id AND x.value + x.fee <> 0) moved USING (lot, instrument)
      WHERE posted.owed IS DISTINCT FROM moved.owed) THEN
    RETURN 'of another debt than its units have';
  ELSIF e.kind = 'pocket_paid' THEN
    IF EXISTS (SELECT 1 FROM investors_posting p WHERE p.entry_id = e.id AND p.account_id = '2040'
        AND NOT EXISTS (SELECT 1 FROM investors_unitlot l
          JOIN investors_holding h ON h.id = l.holding_id
          JOIN investors_payeeaccount a ON a.investor_id = h.investor_id
          JOIN investors_payment y ON y.payee_id = a.id AND y.entry_id = e.id
          WHERE l.id = p.lot)) THEN
      RETURN 'to another than the holder';
    END IF;
    IF EXISTS (SELECT 1 FROM investors_posting p JOIN investors_entry x ON x.id = p.entry_id
        WHERE x.fund_id = e.fund_id AND p.account_id = '2040' AND p.lot IN (
          SELECT o.lot FROM investors_posting o WHERE o.entry_id = e.id)
        GROUP BY p.lot HAVING sum(p.amount) > 0) THEN
      RETURN 'of more than is owed';
    END IF;
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION investors_change_signed, investors_pocket_moves, investors_change_made,
  investors_proceeds_fault FROM PUBLIC;

DROP TRIGGER allocation_posted ON investors_lineallocation;
CREATE CONSTRAINT TRIGGER allocation_posted AFTER INSERT ON investors_lineallocation
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.use IN ('order', 'advance', 'pocket'))
  EXECUTE FUNCTION investors_allocation_posted();
ALTER TABLE investors_lineallocation ENABLE ALWAYS TRIGGER allocation_posted;

INSERT INTO investors_account (code, name, kind)
  SELECT '2040', 'Side-pocket proceeds payable', 'liability'
  WHERE EXISTS (SELECT 1 FROM investors_account) ON CONFLICT DO NOTHING;
"""
UNWALLS = """
DROP FUNCTION investors_change_signed() CASCADE;
DROP FUNCTION investors_pocket_moves() CASCADE;
DROP FUNCTION investors_change_made() CASCADE;
DROP FUNCTION investors_proceeds_fault;
DROP FUNCTION investors_say_pocket_change;
DROP TRIGGER allocation_posted ON investors_lineallocation;
CREATE CONSTRAINT TRIGGER allocation_posted AFTER INSERT ON investors_lineallocation
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.use IN ('order', 'advance'))
  EXECUTE FUNCTION investors_allocation_posted();
ALTER TABLE investors_lineallocation ENABLE ALWAYS TRIGGER allocation_posted;
"""

#: Lines that functions of earlier migrations take on: function, where, what stands there then.
LINES = (
    (
        "authority_refusal(text, uuid)",
        "'rebate', 'pocket')",
        "'rebate', 'pocket', 'pocket_change')",
    ),
    (
        "authority_content(text, uuid)",
        "ELSE investors_content(p_action, p_subject) END END",
        "WHEN 'pocket_change' THEN investors_say_pocket_change(p_subject)\n"
        "    ELSE investors_content(p_action, p_subject) END END",
    ),
    (
        "authority_roles(text)",
        "ELSE ARRAY[]::text[] END",
        "WHEN 'pocket_change.approve' THEN ARRAY['director']\n"
        "    WHEN 'pocket_change.decline' THEN ARRAY['director']\n"
        "    ELSE ARRAY[]::text[] END",
    ),
    (
        "investors_entry_accounts(text)",
        "  END::text[]",
        "    WHEN 'side_pocket_valued' THEN '{1500,3020}'\n"
        "    WHEN 'side_pocket_realised' THEN '{1030,1500,2015,2040,2120,3020,8010,8020}'\n"
        "    WHEN 'side_pocket_closed' THEN '{8010,8020}'\n"
        "    WHEN 'pocket_paid' THEN '{1010,2040}'\n"
        "  END::text[]",
    ),
    (
        "investors_entry_accounts(text)",
        "'{1010,1020,2015,2020,2100,",
        "'{1010,1020,2015,2020,2040,2100,",
    ),
    (
        "investors_entry_deals(investors_entry)",
        "'fee_rebate', 'side_pocket_created')",
        "'fee_rebate', 'side_pocket_created', 'side_pocket_valued', 'side_pocket_realised',\n"
        "    'side_pocket_closed')",
    ),
    (
        "investors_entry_fault(investors_entry)",
        "ELSE coalesce(investors_pocket_fault(e),",
        "ELSE coalesce(investors_pocket_fault(e), investors_proceeds_fault(e),",
    ),
    (
        "investors_entry_sourced()",
        "IN ('1010', '2020', '2030',",
        "IN ('1010', '2020', '2030', '2040',",
    ),
    (
        "investors_pocket_fault(investors_entry)",
        "  IF e.kind = 'side_pocket_created' AND",
        "  IF e.kind IN ('side_pocket_created', 'side_pocket_valued', 'side_pocket_realised') AND",
    ),
    (
        "investors_pocket_units()",
        "FROM added a\n",
        "FROM (SELECT * FROM added WHERE kind = 'created') a\n",
    ),
    (
        "investors_flow_posted()",
        "      WHERE f.book = new.book AND new.amount = -k.value) THEN",
        "      WHERE f.book = new.book AND new.amount = -k.value)\n"
        "    AND NOT EXISTS (SELECT 1 FROM investors_fund f\n"
        "      JOIN investors_sidepocket k ON k.fund_id = f.id\n"
        "      JOIN investors_pocketchange g ON g.pocket_id = k.id AND g.strike_id IS NOT NULL\n"
        "        AND g.line_id IS NULL AND new.source_ref = 'pocket-cash:' || g.id\n"
        "      WHERE f.book = new.book AND new.amount = g.cash) THEN",
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
        ("investors", "0055_rates_of_flows"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="PocketChange",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("proposed_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("is_approved", models.BooleanField(blank=True, null=True)),
                (
                    "reason",
                    models.CharField(blank=True, help_text="Why it was declined.", max_length=300),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("value", "New value"), ("cash", "Cash paid out")], max_length=5
                    ),
                ),
                (
                    "value",
                    magnetfund.core.fields.ExactField(
                        help_text="What the claim is carried at afterwards."
                    ),
                ),
                (
                    "cash",
                    magnetfund.core.fields.ExactField(
                        default=0, help_text="What came in for it and is paid to its holders."
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        help_text="What the value or the payment rests on.", max_length=300
                    ),
                ),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-proposed_at"],
                "abstract": False,
            },
        ),
        migrations.RemoveConstraint(
            model_name="lineallocation",
            name="investors_lineallocation_named",
        ),
        migrations.RemoveConstraint(
            model_name="pocketentry",
            name="investors_pocketentry_once",
        ),
        migrations.RemoveConstraint(
            model_name="pocketentry",
            name="investors_pocketentry_not_zero",
        ),
        migrations.AddField(
            model_name="pocketentry",
            name="fee",
            field=magnetfund.core.fields.ExactField(default=0),
        ),
        migrations.AlterField(
            model_name="lineallocation",
            name="use",
            field=models.CharField(
                choices=[
                    ("order", "Funds an order"),
                    ("advance", "Kept for the investor's next order"),
                    ("refund", "Went back to its sender"),
                    ("pocket", "Paid for the claim of a side pocket"),
                ],
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="kind",
            field=models.CharField(
                choices=[
                    ("redemption", "Redemption proceeds"),
                    ("distribution", "Distribution"),
                    ("compensation", "Compensation of a wrong NAV"),
                    ("refund", "Refund to origin"),
                    ("management_fee", "Management fee"),
                    ("performance_fee", "Performance fee"),
                    ("expense", "Expense"),
                    ("rebate", "Fee rebate"),
                    ("pocket", "Side-pocket proceeds"),
                ],
                max_length=16,
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
                ],
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="lineallocation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("order__isnull", False), ("use", "order")),
                    models.Q(
                        ("investor__isnull", False), ("order__isnull", True), ("use", "advance")
                    ),
                    models.Q(
                        ("order__isnull", True), ("payment__isnull", False), ("use", "refund")
                    ),
                    models.Q(
                        ("investor__isnull", True),
                        ("order__isnull", True),
                        ("payment__isnull", True),
                        ("use", "pocket"),
                    ),
                    _connector="OR",
                ),
                name="investors_lineallocation_named",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketentry",
            constraint=models.UniqueConstraint(
                fields=("pocket", "lot", "strike", "kind"), name="investors_pocketentry_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("fee__gte", 0), ("fee__lt", Decimal("1E+20"))),
                    ("fee__isnull", True),
                    _connector="OR",
                ),
                name="investors_pocketentry_fee_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("units", 0), _negated=True),
                    ("kind__in", ("valued", "paid")),
                    _connector="OR",
                ),
                name="investors_pocketentry_not_zero",
            ),
        ),
        migrations.AddField(
            model_name="pocketchange",
            name="decided_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="pocketchange",
            name="line",
            field=models.ForeignKey(
                blank=True,
                help_text="The receipt that the cash is; without one the venue paid it.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="investors.statementline",
            ),
        ),
        migrations.AddField(
            model_name="pocketchange",
            name="pocket",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="changes",
                to="investors.sidepocket",
            ),
        ),
        migrations.AddField(
            model_name="pocketchange",
            name="proposed_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="pocketchange",
            name="strike",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="pocket_changes",
                to="investors.navstrike",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketchange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("value__gte", 0), ("value__lt", Decimal("1E+20"))),
                    ("value__isnull", True),
                    _connector="OR",
                ),
                name="investors_pocketchange_value_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketchange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("cash__gte", 0), ("cash__lt", Decimal("1E+20"))),
                    ("cash__isnull", True),
                    _connector="OR",
                ),
                name="investors_pocketchange_cash_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketchange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by", None),
                    models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                    _connector="OR",
                ),
                name="investors_pocketchange_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketchange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("decided_at", None), ("decided_by", None), ("is_approved", None)),
                    models.Q(
                        ("decided_at__isnull", False),
                        ("decided_by__isnull", False),
                        ("is_approved__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="investors_pocketchange_decided",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketchange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("cash", 0), ("kind", "value"), ("line", None)),
                    models.Q(("cash__gt", 0), ("kind", "cash")),
                    _connector="OR",
                ),
                name="investors_pocketchange_measured",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketchange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("strike", None),
                    models.Q(("is_approved", True), ("withdrawn_at", None)),
                    _connector="OR",
                ),
                name="investors_pocketchange_booked",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketchange",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    models.Q(("is_approved", None), ("is_approved", True), _connector="OR"),
                    ("strike", None),
                    ("withdrawn_at", None),
                ),
                fields=("pocket",),
                name="investors_pocketchange_open",
            ),
        ),
        migrations.RunSQL(SAY + WALLS, UNWALLS),
        migrations.RunSQL(
            [_put(*line) for line in LINES],
            [_put(name, new, old) for name, old, new in reversed(LINES)],
        ),
    ]
