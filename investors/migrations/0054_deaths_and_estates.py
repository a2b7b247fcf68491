"""A reported death holds the account until two people decide, the second of them signed."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.kernel.clock

SAY = r"""
CREATE FUNCTION investors_say_estate(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE s.kind WHEN 'lift' THEN 'Lift the report of a death, which was wrong'
      WHEN 'survivor' THEN 'Leave the account to the survivor ' || wall_line(s.survivor)
      ELSE 'Let units pass on by the grant of probate to the executor ' || wall_line(x.legal_name)
        || ' (' || wall_line(x.number) || ')' END
      || E'\n' || 'Holder: ' || wall_line(h.legal_name) || ' (' || wall_line(h.number) || ')'
      || E'\n' || 'Death: ' || wall_line(d.deceased) || ', ' || to_char(d.died_on, 'YYYY-MM-DD')
      || ', paper SHA-256 ' || wall_line(d.paper_digest) || E'\n' || 'Rests on: '
      || wall_line(s.ground) || ', paper SHA-256 ' || wall_line(s.paper_digest)
      || E'\n' || 'Proposed by: ' || wall_account(s.proposed_by_id) || ', '
      || wall_when(s.proposed_at) || E'\n' || 'Step: ' || s.id
    FROM investors_estatestep s JOIN investors_deathreport d ON d.id = s.report_id
    JOIN investors_investor h ON h.id = d.investor_id
    LEFT JOIN investors_investor x ON x.id = s.executor_id
    WHERE s.id = p_subject AND s.decided_at IS NULL AND d.closed_at IS NULL
$$;
REVOKE ALL ON FUNCTION investors_say_estate FROM PUBLIC;
"""

#: What is signed, by whom: function, what stands there, what stands there afterwards.
ROUTES = (
    ("authority_refusal(text, uuid)", "'expense_change',", "'expense_change', 'estate',"),
    (
        "authority_content(text, uuid)",
        "ELSE investors_content(p_action, p_subject)",
        "WHEN 'estate' THEN investors_say_estate(p_subject)\n"
        "    ELSE investors_content(p_action, p_subject)",
    ),
    (
        "authority_roles(text)",
        "ELSE ARRAY[]::text[]",
        "WHEN 'estate.approve' THEN ARRAY['compliance', 'director']\n"
        "    WHEN 'estate.decline' THEN ARRAY['compliance', 'director']\n"
        "    ELSE ARRAY[]::text[]",
    ),
)


def _changed(function: str, before: str, after: str) -> str:
    """SQL that puts ``after`` in the place of ``before`` in a function as it stands."""
    return f"""
DO $change$
DECLARE said text := pg_get_functiondef('{function}'::regprocedure);
BEGIN
  IF position($part${before}$part$ IN said) = 0 THEN
    RAISE EXCEPTION '{function} is another than this migration changes';
  END IF;
  EXECUTE replace(said, $part${before}$part$, $part${after}$part$);
END $change$;
"""


ROUTED = "".join(_changed(*route) for route in ROUTES)
UNROUTED = "".join(_changed(name, after, before) for name, before, after in ROUTES)

WALLS = r"""
REVOKE ALL ON "investors_deathreport", "investors_estatestep"
  FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_deathreport", "investors_estatestep" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_deathreport", "investors_estatestep" TO fa_app, fa_gateway;
GRANT UPDATE ("outcome", "closed_at") ON "investors_deathreport" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved", "reason") ON "investors_estatestep"
  TO fa_app, fa_gateway;

-- A report is closed by the step that two people decided, and stays closed.
CREATE FUNCTION investors_death_closed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.closed_at IS NOT NULL THEN
      RAISE EXCEPTION 'estates: a death is reported first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.closed_at IS NOT NULL THEN
    RAISE EXCEPTION 'estates: a closed report stays closed' USING ERRCODE = 'check_violation';
  END IF;
  IF new.closed_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM investors_estatestep s
      WHERE s.report_id = old.id AND s.is_approved
        AND s.kind = CASE new.outcome WHEN 'lifted' THEN 'lift' ELSE new.outcome END) THEN
    RAISE EXCEPTION 'estates: a report is closed by a decision of two people'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER death_closed BEFORE INSERT OR UPDATE ON "investors_deathreport"
  FOR EACH ROW EXECUTE FUNCTION investors_death_closed();
ALTER TABLE "investors_deathreport" ENABLE ALWAYS TRIGGER death_closed;

CREATE FUNCTION investors_estate_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved) <> 0 THEN
      RAISE EXCEPTION 'estates: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.is_approved IS NOT NULL THEN
    RAISE EXCEPTION 'estates: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF new.is_approved IS NOT NULL THEN
    PERFORM authority_two_people('estates', old.proposed_by_id, new.decided_by_id);
    PERFORM authority_signed(CASE WHEN new.is_approved THEN 'estate.approve'
      ELSE 'estate.decline' END, old.id, new.decided_by_id, '', interval '15 minutes');
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER estate_signed BEFORE INSERT OR UPDATE ON "investors_estatestep"
  FOR EACH ROW EXECUTE FUNCTION investors_estate_signed();
ALTER TABLE "investors_estatestep" ENABLE ALWAYS TRIGGER estate_signed;

-- Nothing is ordered for a holder whose death was reported; what the fund itself does goes on.
CREATE FUNCTION investors_order_of_the_living() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM investors_deathreport d
      WHERE d.investor_id = new.investor_id AND d.closed_at IS NULL) THEN
    RAISE EXCEPTION 'orders: a death was reported of this holder' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER order_of_the_living BEFORE INSERT ON investors_dealingorder
  FOR EACH ROW WHEN (new.kind IN ('subscription', 'redemption', 'switch')
    AND NOT new.is_compulsory) EXECUTE FUNCTION investors_order_of_the_living();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER order_of_the_living;
REVOKE ALL ON FUNCTION investors_death_closed, investors_estate_signed,
  investors_order_of_the_living FROM PUBLIC;
"""
WALLS_BACK = """
DROP TRIGGER order_of_the_living ON investors_dealingorder;
DROP TRIGGER estate_signed ON "investors_estatestep";
DROP TRIGGER death_closed ON "investors_deathreport";
DROP FUNCTION investors_order_of_the_living, investors_estate_signed, investors_death_closed;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0053_values_of_stablecoins"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="paper",
            name="kind",
            field=models.CharField(
                choices=[
                    ("contract_note", "Contract note"),
                    ("statement", "Monthly statement"),
                    ("register", "Unit register"),
                    ("trial_balance", "Trial balance"),
                    ("nav_pack", "NAV pack"),
                    ("capital", "Capital activity"),
                    ("estate", "Valuation for an estate"),
                ],
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="DeathReport",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("deceased", models.CharField(help_text="Who died.", max_length=200)),
                ("died_on", models.DateField()),
                ("paper_name", models.CharField(max_length=120)),
                ("paper_type", models.CharField(max_length=20)),
                ("paper_digest", models.CharField(max_length=64)),
                ("sealed_content", models.BinaryField()),
                ("reported_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("lifted", "Lifted: the report was wrong"),
                            ("survivor", "The survivor is the holder"),
                        ],
                        max_length=8,
                    ),
                ),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "investor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="death_reports",
                        to="investors.investor",
                    ),
                ),
                (
                    "reported_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "valuation",
                    models.ForeignKey(
                        blank=True,
                        help_text="The holding at the last NAV up to the day of the death.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="investors.paper",
                    ),
                ),
            ],
            options={
                "ordering": ["-reported_at"],
            },
        ),
        migrations.CreateModel(
            name="EstateStep",
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
                        choices=[
                            ("lift", "Lift the report"),
                            ("survivor", "Leave the account to the survivor"),
                            ("probate", "Take the executor by the grant of probate"),
                        ],
                        max_length=8,
                    ),
                ),
                ("ground", models.CharField(help_text="What it rests on.", max_length=300)),
                (
                    "survivor",
                    models.CharField(
                        blank=True, help_text="Name of the sole holder.", max_length=200
                    ),
                ),
                ("paper_name", models.CharField(max_length=120)),
                ("paper_type", models.CharField(max_length=20)),
                ("paper_digest", models.CharField(max_length=64)),
                ("sealed_content", models.BinaryField()),
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
                    "executor",
                    models.ForeignKey(
                        blank=True,
                        help_text="The estate's or executor's own file, approved as an investor's.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="investors.investor",
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
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="steps",
                        to="investors.deathreport",
                    ),
                ),
            ],
            options={
                "ordering": ["-proposed_at"],
                "abstract": False,
            },
        ),
        migrations.AddConstraint(
            model_name="deathreport",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closed_at", None)),
                fields=("investor",),
                name="investors_deathreport_one_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="deathreport",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("closed_at", None), ("outcome", "")),
                    models.Q(
                        ("closed_at__isnull", False), models.Q(("outcome", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="investors_deathreport_closed",
            ),
        ),
        migrations.AddConstraint(
            model_name="estatestep",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_approved", None)),
                fields=("report",),
                name="investors_estatestep_one_waits",
            ),
        ),
        migrations.AddConstraint(
            model_name="estatestep",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("executor", None), ("kind", "lift"), ("survivor", "")),
                    models.Q(
                        ("executor", None),
                        ("kind", "survivor"),
                        models.Q(("survivor", ""), _negated=True),
                    ),
                    models.Q(("executor__isnull", False), ("kind", "probate"), ("survivor", "")),
                    _connector="OR",
                ),
                name="investors_estatestep_said",
            ),
        ),
        migrations.AddConstraint(
            model_name="estatestep",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by", None),
                    models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                    _connector="OR",
                ),
                name="investors_estatestep_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="estatestep",
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
                name="investors_estatestep_decided",
            ),
        ),
        migrations.RunSQL(SAY + ROUTED, UNROUTED + "DROP FUNCTION investors_say_estate;"),
        migrations.RunSQL(WALLS, WALLS_BACK),
    ]
