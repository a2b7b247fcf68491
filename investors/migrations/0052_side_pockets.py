"""Side pockets: claims that two people set apart, and the units that go with them at a NAV."""

import uuid
from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

SAY = r"""
CREATE FUNCTION investors_say_pocket(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Set a claim of ' || wall_line(f.name) || ' (' || wall_line(f.code)
      || ') apart in side pocket SP-' || k.number || ' at its next NAV: ' || wall_line(k.asset)
      || E'\n' || 'Carried at: ' || trim_scale(k.value) || ' ' || wall_line(f.currency)
      || ', out of account ' || wall_line(k.account)
      || E'\n' || 'Why: ' || wall_line(k.cause)
      || E'\n' || 'Holders are told: ' || wall_line(k.notice)
      || E'\n' || 'Proposed by: ' || wall_account(k.proposed_by_id) || ', '
      || wall_when(k.proposed_at) || E'\n' || 'Proposal: ' || k.id
    FROM investors_sidepocket k JOIN investors_fund f ON f.id = k.fund_id
    WHERE k.id = p_subject AND k.decided_at IS NULL
$$;

-- What the dealing of a NAV sets apart, as its signer reads it.
CREATE FUNCTION investors_say_pockets(p_strike uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce(string_agg(E'\n' || 'Set apart in side pocket ' || wall_line(x ->> 0) || ': '
      || trim_scale((x ->> 1)::numeric), '' ORDER BY x ->> 0), '')
    FROM investors_navstrike s, jsonb_array_elements(s.inputs -> 'pockets') x
    WHERE s.id = p_strike
$$;
REVOKE ALL ON FUNCTION investors_say_pocket, investors_say_pockets FROM PUBLIC;
"""

WALLS = r"""
REVOKE ALL ON "investors_sidepocket" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_sidepocket" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_sidepocket" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved", "reason", "strike_id", "withdrawn_at")
  ON "investors_sidepocket" TO fa_app, fa_gateway;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_pocketentry"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_pocketentry"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_pocketentry" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_pocketentry" ENABLE ALWAYS TRIGGER append_only_truncate;
REVOKE ALL ON "investors_pocketentry" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_pocketentry" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_pocketentry" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;

-- It comes undecided, is decided once by another person's signature, and is set apart once, by the
-- NAV that is being dealt and names it; until then it can be withdrawn for good.
CREATE FUNCTION investors_pocket_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved, new.strike_id,
        new.withdrawn_at) <> 0 THEN
      RAISE EXCEPTION 'pockets: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.is_approved IS NULL THEN
    IF num_nonnulls(new.strike_id, new.withdrawn_at) <> 0 THEN
      RAISE EXCEPTION 'pockets: it is decided first' USING ERRCODE = 'check_violation';
    END IF;
    IF new.is_approved IS NOT NULL THEN
      SELECT f.book INTO STRICT book FROM investors_fund f WHERE f.id = old.fund_id;
      PERFORM authority_two_people('pockets', old.proposed_by_id, new.decided_by_id);
      PERFORM authority_signed(CASE WHEN new.is_approved THEN 'pocket.approve'
        ELSE 'pocket.decline' END, old.id, new.decided_by_id, book, interval '15 minutes');
    END IF;
    RETURN new;
  END IF;
  IF (new.decided_by_id, new.decided_at, new.is_approved, new.reason)
      IS DISTINCT FROM (old.decided_by_id, old.decided_at, old.is_approved, old.reason) THEN
    RAISE EXCEPTION 'pockets: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF old.strike_id IS NOT NULL AND new.strike_id IS DISTINCT FROM old.strike_id
      OR old.withdrawn_at IS NOT NULL AND new.withdrawn_at IS DISTINCT FROM old.withdrawn_at THEN
    RAISE EXCEPTION 'pockets: it is set apart or withdrawn once' USING ERRCODE = 'check_violation';
  END IF;
  IF new.strike_id IS DISTINCT FROM old.strike_id AND NOT EXISTS (
      SELECT 1 FROM investors_navstrike s,
        jsonb_array_elements(s.inputs -> 'pockets') x
      WHERE s.id = new.strike_id AND s.fund_id = old.fund_id AND s.state = 'approved'
        AND x ->> 0 = 'SP-' || old.number AND (x ->> 1)::numeric = old.value) THEN
    RAISE EXCEPTION 'pockets: no NAV that is being dealt sets it apart'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER pocket_signed BEFORE INSERT OR UPDATE ON "investors_sidepocket"
  FOR EACH ROW EXECUTE FUNCTION investors_pocket_signed();
ALTER TABLE "investors_sidepocket" ENABLE ALWAYS TRIGGER pocket_signed;
CREATE TRIGGER decided_now BEFORE INSERT OR UPDATE ON "investors_sidepocket"
  FOR EACH ROW EXECUTE FUNCTION authority_time_of_decision('decided_by_id', 'decided_at');
ALTER TABLE "investors_sidepocket" ENABLE ALWAYS TRIGGER decided_now;

CREATE FUNCTION investors_pocket_recorded() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  new.recorded_at := clock_timestamp();
  RETURN new;
END $$;
CREATE TRIGGER pocket_recorded BEFORE INSERT ON "investors_pocketentry"
  FOR EACH ROW EXECUTE FUNCTION investors_pocket_recorded();
ALTER TABLE "investors_pocketentry" ENABLE ALWAYS TRIGGER pocket_recorded;

-- Units come into a pocket from a lot of the NAV that sets it apart: the claim's share of the lot
-- in whole steps, with the lot's mark and clock, at the NAV's price.
CREATE FUNCTION investors_pocket_units() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM added a
      LEFT JOIN investors_sidepocket k ON k.id = a.pocket_id AND k.strike_id = a.strike_id
      LEFT JOIN investors_navstrike s ON s.id = k.strike_id AND s.state = 'approved'
        AND s.valuation_at = a.effective_at
      LEFT JOIN investors_unitlot l ON l.id = a.lot_id
      LEFT JOIN investors_classnav n ON n.strike_id = s.id AND n.share_class_id = l.share_class_id
      LEFT JOIN investors_shareclass c ON c.id = l.share_class_id
      LEFT JOIN investors_entry e ON e.id = a.entry_id
        AND e.source_ref = 'side_pocket_created:' || s.id || ':' || c.code
      LEFT JOIN investors_lotnav v ON v.strike_id = s.id AND v.lot_id = a.lot_id
      LEFT JOIN LATERAL (SELECT sum(g.gav) AS gross FROM investors_classnav g
        WHERE g.strike_id = s.id AND g.units > 0) w ON true
      LEFT JOIN LATERAL (SELECT max((p.terms ->> 'unit_quantum')::numeric) AS step
        FROM investors_classpolicyversion p WHERE p.share_class_id = c.id) q ON true
      WHERE a.kind <> 'created' OR n.id IS NULL OR e.id IS NULL OR v.id IS NULL
        OR a.price <> n.price OR a.value < 0 OR a.high_water_mark <> l.high_water_mark
        OR a.hurdle_start <> l.hurdle_start
        OR v.units * k.value / w.gross - a.units
          NOT BETWEEN -0.000000000001 AND coalesce(q.step, 0.000001)) THEN
    RAISE EXCEPTION 'pockets: units that no signed NAV sets apart' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER pocket_units AFTER INSERT ON "investors_pocketentry" REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION investors_pocket_units();
ALTER TABLE "investors_pocketentry" ENABLE ALWAYS TRIGGER pocket_units;

-- As it commits: every lot gave its share, and the money is that of the claim.
CREATE FUNCTION investors_pocket_made() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF (SELECT coalesce(sum(x.value), 0) FROM investors_pocketentry x
        WHERE x.pocket_id = new.id AND x.strike_id = new.strike_id) <> new.value
      OR (SELECT coalesce(sum(p.amount), 0) FROM investors_posting p
        JOIN investors_entry e ON e.id = p.entry_id
        WHERE e.fund_id = new.fund_id AND e.kind = 'side_pocket_created'
          AND p.account_id = '1500' AND p.instrument = 'SP-' || new.number) <> new.value
      OR EXISTS (SELECT 1 FROM investors_lotnav v
        JOIN investors_unitlot l ON l.id = v.lot_id
        JOIN investors_classnav n ON n.strike_id = v.strike_id
          AND n.share_class_id = l.share_class_id
        CROSS JOIN LATERAL (SELECT sum(g.gav) AS gross FROM investors_classnav g
          WHERE g.strike_id = v.strike_id AND g.units > 0) w
        CROSS JOIN LATERAL (SELECT max((p.terms ->> 'unit_quantum')::numeric) AS step
          FROM investors_classpolicyversion p WHERE p.share_class_id = l.share_class_id) q
        WHERE v.strike_id = new.strike_id AND n.detail -> 'pockets' @> jsonb_build_array(
            jsonb_build_object('pocket', 'SP-' || new.number))
          AND v.units * new.value / w.gross >= coalesce(q.step, 0.000001) + 0.000000000001
          AND NOT EXISTS (SELECT 1 FROM investors_pocketentry x WHERE x.pocket_id = new.id
            AND x.lot_id = v.lot_id AND x.strike_id = v.strike_id)) THEN
    RAISE EXCEPTION 'pockets: not every lot gave its share' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER pocket_made AFTER UPDATE ON "investors_sidepocket"
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (old.strike_id IS NULL AND new.strike_id IS NOT NULL)
  EXECUTE FUNCTION investors_pocket_made();
ALTER TABLE "investors_sidepocket" ENABLE ALWAYS TRIGGER pocket_made;

-- What is wrong with an entry of side pockets; null where nothing is.
CREATE FUNCTION investors_pocket_fault(e investors_entry) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF e.kind = 'side_pocket_created' AND (EXISTS (
      SELECT 1 FROM (
        SELECT p.lot, p.instrument, -sum(p.amount) AS value FROM investors_posting p
          WHERE p.entry_id = e.id AND p.account_id = '3020' GROUP BY p.lot, p.instrument) posted
      FULL JOIN (
        SELECT x.lot_id AS lot, 'SP-' || k.number AS instrument, x.value
          FROM investors_pocketentry x JOIN investors_sidepocket k ON k.id = x.pocket_id
          WHERE x.entry_id = e.id AND x.value <> 0) moved USING (lot, instrument)
      WHERE posted.value IS DISTINCT FROM moved.value
    ) OR (SELECT coalesce(sum(p.amount), 0) FROM investors_posting p
        WHERE p.entry_id = e.id AND p.account_id = '1500')
      <> (SELECT coalesce(sum(x.value), 0) FROM investors_pocketentry x
        WHERE x.entry_id = e.id)) THEN
    RETURN 'of another value than was set apart';
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION investors_pocket_signed, investors_pocket_recorded, investors_pocket_units, investors_pocket_made,
  investors_pocket_fault FROM PUBLIC;
"""
UNWALLS = """
DROP FUNCTION investors_pocket_signed() CASCADE;
DROP FUNCTION investors_pocket_units() CASCADE;
DROP FUNCTION investors_pocket_recorded() CASCADE;
DROP FUNCTION investors_pocket_made() CASCADE;
DROP FUNCTION investors_pocket_fault;
DROP FUNCTION investors_say_pocket, investors_say_pockets;
"""

#: Lines that functions of earlier migrations take on: function, where, what stands there then.
LINES = (
    (
        "authority_refusal(text, uuid)",
        "'sleeve', 'rebate')",
        "'sleeve', 'rebate', 'pocket')",
    ),
    (
        "authority_content(text, uuid)",
        "ELSE investors_content(p_action, p_subject) END END",
        "WHEN 'pocket' THEN investors_say_pocket(p_subject)\n"
        "    ELSE investors_content(p_action, p_subject) END END",
    ),
    (
        "authority_roles(text)",
        "ELSE ARRAY[]::text[] END",
        "WHEN 'pocket.approve' THEN ARRAY['director']\n"
        "    WHEN 'pocket.decline' THEN ARRAY['director']\n"
        "    ELSE ARRAY[]::text[] END",
    ),
    (
        "investors_content(text, uuid)",
        "THEN investors_say_receipts(p_subject)",
        "THEN investors_say_pockets(p_subject) || investors_say_receipts(p_subject)",
    ),
    (
        "investors_entry_accounts(text)",
        "  END::text[]",
        "    WHEN 'side_pocket_created' THEN\n"
        "      '{1030,1200,1500,2110,3010,3020,3100,5020,8010,8020}'\n"
        "  END::text[]",
    ),
    (
        "investors_entry_deals(investors_entry)",
        "'switch_dealt', 'fee_rebate')",
        "'switch_dealt', 'fee_rebate', 'side_pocket_created')",
    ),
    (
        "investors_entry_fault(investors_entry)",
        "ELSE investors_rebate_fault(e) END;",
        "ELSE coalesce(investors_pocket_fault(e), investors_rebate_fault(e)) END;",
    ),
    (
        "investors_flow_posted()",
        "      WHERE f.book = new.book) THEN",
        "      WHERE f.book = new.book) AND NOT EXISTS (SELECT 1 FROM investors_fund f\n"
        "      JOIN investors_sidepocket k ON k.fund_id = f.id AND k.strike_id IS NOT NULL\n"
        "        AND k.account = '1030' AND new.source_ref = 'pocket:' || k.id\n"
        "      WHERE f.book = new.book AND new.amount = -k.value) THEN",
    ),
    (
        "investors_units_dealt()",
        "'transfer_out', 'transfer_in', 'clock', 'distribution')\n    OR",
        "'transfer_out', 'transfer_in', 'clock', 'distribution', 'side_pocket_out')\n    OR",
    ),
    (
        "investors_units_dealt()",
        "  IF EXISTS (SELECT 1 FROM added a JOIN investors_unitlot l ON l.id = a.lot_id\n"
        "      LEFT JOIN investors_entry e ON e.id = a.entry_id",
        "  IF EXISTS (SELECT 1 FROM added a WHERE a.kind = 'side_pocket_out'\n"
        "      AND -a.units IS DISTINCT FROM (SELECT sum(x.units) FROM investors_pocketentry x\n"
        "        WHERE x.lot_id = a.lot_id AND x.entry_id = a.entry_id)) THEN\n"
        "    RAISE EXCEPTION 'units: what leaves for a side pocket comes into it'\n"
        "      USING ERRCODE = 'check_violation';\n"
        "  END IF;\n"
        "  IF EXISTS (SELECT 1 FROM added a JOIN investors_unitlot l ON l.id = a.lot_id\n"
        "      LEFT JOIN investors_entry e ON e.id = a.entry_id",
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
        ("investors", "0051_powers_of_attorney"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AlterField(
            model_name="entrybalance",
            name="currency",
            field=models.CharField(max_length=48),
        ),
        migrations.AlterField(
            model_name="posting",
            name="currency",
            field=models.CharField(max_length=48),
        ),
        migrations.AlterField(
            model_name="unitentry",
            name="kind",
            field=models.CharField(
                choices=[
                    ("issue", "Subscription"),
                    ("redeem", "Redeem"),
                    ("fee_cancel", "Performance fee, units cancelled"),
                    ("switch_out", "Switch into another class"),
                    ("switch_in", "Switch from another class"),
                    ("transfer_out", "Transfer Out"),
                    ("transfer_in", "Transfer In"),
                    ("side_pocket_out", "Set apart in a side pocket"),
                    ("side_pocket_in", "Side Pocket In"),
                    ("merge", "Side pocket merged back"),
                    ("compensation", "Compensation"),
                    ("clock", "Hurdle period begins"),
                    ("distribution", "High-water mark lowered by a distribution"),
                ],
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="SidePocket",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("proposed_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("is_approved", models.BooleanField(blank=True, null=True)),
                (
                    "reason",
                    models.CharField(blank=True, help_text="Why it was declined.", max_length=300),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "asset",
                    models.CharField(help_text="What is claimed, and from whom.", max_length=200),
                ),
                (
                    "account",
                    models.CharField(
                        choices=[
                            ("1030", "Venue cash and margin"),
                            ("1200", "Receivables: trades, interest, cash in transit"),
                        ],
                        max_length=4,
                    ),
                ),
                (
                    "value",
                    magnetfund.core.fields.ExactField(
                        help_text="What it is carried at, in the fund's currency."
                    ),
                ),
                ("cause", models.CharField(help_text="Why it is set apart.", max_length=300)),
                (
                    "notice",
                    models.CharField(help_text="What the holders are told.", max_length=1000),
                ),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "fund",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pockets",
                        to="investors.fund",
                    ),
                ),
                (
                    "proposed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "strike",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pockets",
                        to="investors.navstrike",
                    ),
                ),
            ],
            options={
                "ordering": ["-proposed_at"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="PocketEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(choices=[("created", "Set apart")], max_length=12)),
                ("units", magnetfund.core.fields.ExactField()),
                ("price", magnetfund.core.fields.ExactField()),
                ("value", magnetfund.core.fields.ExactField()),
                ("high_water_mark", magnetfund.core.fields.ExactField()),
                ("hurdle_start", models.DateField()),
                ("effective_at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
                (
                    "entry",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="investors.entry",
                    ),
                ),
                (
                    "lot",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pocket_entries",
                        to="investors.unitlot",
                    ),
                ),
                (
                    "strike",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="investors.navstrike",
                    ),
                ),
                (
                    "pocket",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="investors.sidepocket",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "pocket entries",
                "ordering": ["effective_at", "id"],
            },
        ),
        migrations.AddConstraint(
            model_name="sidepocket",
            constraint=models.UniqueConstraint(
                fields=("fund", "number"), name="investors_sidepocket_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="sidepocket",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("value__gt", 0), ("value__lt", Decimal("1E+20"))),
                    ("value__isnull", True),
                    _connector="OR",
                ),
                name="investors_sidepocket_value_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="sidepocket",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by", None),
                    models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                    _connector="OR",
                ),
                name="investors_sidepocket_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="sidepocket",
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
                name="investors_sidepocket_decided",
            ),
        ),
        migrations.AddConstraint(
            model_name="sidepocket",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("strike", None),
                    models.Q(("is_approved", True), ("withdrawn_at", None)),
                    _connector="OR",
                ),
                name="investors_sidepocket_created",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketentry",
            constraint=models.UniqueConstraint(
                fields=("pocket", "lot", "strike"), name="investors_pocketentry_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("units__gt", Decimal("-1E+20")), ("units__lt", Decimal("1E+20"))),
                    ("units__isnull", True),
                    _connector="OR",
                ),
                name="investors_pocketentry_units_finite",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("value__gt", Decimal("-1E+20")), ("value__lt", Decimal("1E+20"))),
                    ("value__isnull", True),
                    _connector="OR",
                ),
                name="investors_pocketentry_value_finite",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("price__gte", 0), ("price__lt", Decimal("1E+20"))),
                    ("price__isnull", True),
                    _connector="OR",
                ),
                name="investors_pocketentry_price_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("high_water_mark__gt", 0), ("high_water_mark__lt", Decimal("1E+20"))),
                    ("high_water_mark__isnull", True),
                    _connector="OR",
                ),
                name="investors_pocketentry_high_water_mark_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="pocketentry",
            constraint=models.CheckConstraint(
                condition=models.Q(("units", 0), _negated=True),
                name="investors_pocketentry_not_zero",
            ),
        ),
        migrations.RunSQL(SAY + WALLS, UNWALLS),
        migrations.RunSQL(
            [_put(*line) for line in LINES],
            [_put(name, new, old) for name, old, new in reversed(LINES)],
        ),
    ]
