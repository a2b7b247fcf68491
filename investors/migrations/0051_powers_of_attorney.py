"""Powers of attorney: decided by two people, the second of them signed, and named on each order."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.kernel.clock

SAY = r"""
CREATE FUNCTION investors_say_attorney(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Let ' || wall_line(a.legal_name) || ' (' || wall_line(a.number) || ') act as attorney of '
      || wall_line(h.legal_name) || ' (holder ' || wall_line(h.number) || ')' || E'\n' || 'May: '
      || concat_ws(', ', 'read', CASE WHEN p.may_subscribe THEN 'subscribe' END,
        CASE WHEN p.may_redeem THEN 'redeem and switch' END)
      || E'\n' || 'From: ' || to_char(p.first_day, 'YYYY-MM-DD') || ' until '
      || to_char(p.last_day, 'YYYY-MM-DD') || E'\n' || 'Deed: ' || p.deed_size || ' bytes, SHA-256 '
      || wall_line(p.deed_digest) || E'\n' || 'Proposed by: ' || wall_account(p.proposed_by_id)
      || ', ' || wall_when(p.proposed_at) || E'\n' || 'Power: ' || p.id
    FROM investors_powerofattorney p JOIN investors_investor h ON h.id = p.investor_id
    JOIN investors_investor a ON a.id = p.attorney_id
    WHERE p.id = p_subject AND p.decided_at IS NULL
$$;
REVOKE ALL ON FUNCTION investors_say_attorney FROM PUBLIC;
"""

#: What is signed, by whom: function, what stands there, what stands there afterwards.
ROUTES = (
    ("authority_refusal(text, uuid)", "'expense_change',", "'expense_change', 'attorney',"),
    (
        "authority_content(text, uuid)",
        "ELSE investors_content(p_action, p_subject)",
        "WHEN 'attorney' THEN investors_say_attorney(p_subject)\n"
        "    ELSE investors_content(p_action, p_subject)",
    ),
    (
        "authority_roles(text)",
        "ELSE ARRAY[]::text[]",
        "WHEN 'attorney.approve' THEN ARRAY['compliance', 'director']\n"
        "    WHEN 'attorney.decline' THEN ARRAY['compliance', 'director']\n"
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
REVOKE ALL ON "investors_powerofattorney" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_powerofattorney" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_powerofattorney" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved", "reason", "ended_by_id", "ended_at",
  "end_reason") ON "investors_powerofattorney" TO fa_app, fa_gateway;

-- It comes undecided, is decided once on another person's signature, and what ended stays ended.
CREATE FUNCTION investors_power_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved, new.ended_by_id,
        new.ended_at) <> 0 THEN
      RAISE EXCEPTION 'attorneys: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.ended_at IS NOT NULL THEN
    RAISE EXCEPTION 'attorneys: a power that ended stays ended' USING ERRCODE = 'check_violation';
  END IF;
  IF (new.decided_by_id, new.decided_at, new.is_approved, new.reason)
     IS DISTINCT FROM (old.decided_by_id, old.decided_at, old.is_approved, old.reason) THEN
    IF old.is_approved IS NOT NULL THEN
      RAISE EXCEPTION 'attorneys: a decision is fixed' USING ERRCODE = 'check_violation';
    END IF;
    PERFORM authority_two_people('attorneys', old.proposed_by_id, new.decided_by_id);
    PERFORM authority_signed(CASE WHEN new.is_approved THEN 'attorney.approve'
      ELSE 'attorney.decline' END, old.id, new.decided_by_id, '', interval '15 minutes');
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER power_signed BEFORE INSERT OR UPDATE ON "investors_powerofattorney"
  FOR EACH ROW EXECUTE FUNCTION investors_power_signed();
ALTER TABLE "investors_powerofattorney" ENABLE ALWAYS TRIGGER power_signed;

-- An order that names a power is within it: its holder, its attorney, its days and its kind.
CREATE FUNCTION investors_order_of_attorney() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM investors_powerofattorney p
      JOIN investors_investor a ON a.id = p.attorney_id
      WHERE p.id = new.under_power_id AND p.investor_id = new.investor_id AND p.is_approved
        AND p.ended_at IS NULL AND a.user_id = new.submitted_by_id AND a.kyc_state = 'approved'
        AND (new.received_at AT TIME ZONE 'UTC')::date BETWEEN p.first_day AND p.last_day
        AND CASE new.kind WHEN 'subscription' THEN p.may_subscribe
          WHEN 'redemption' THEN p.may_redeem WHEN 'switch' THEN p.may_redeem ELSE false END) THEN
    RAISE EXCEPTION 'orders: beyond the power of attorney that it names'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER order_of_attorney BEFORE INSERT ON investors_dealingorder
  FOR EACH ROW WHEN (new.under_power_id IS NOT NULL)
  EXECUTE FUNCTION investors_order_of_attorney();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER order_of_attorney;
REVOKE ALL ON FUNCTION investors_power_signed, investors_order_of_attorney FROM PUBLIC;
"""
WALLS_BACK = """
DROP TRIGGER order_of_attorney ON investors_dealingorder;
DROP TRIGGER power_signed ON "investors_powerofattorney";
DROP FUNCTION investors_order_of_attorney, investors_power_signed;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0050_advisers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PowerOfAttorney",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("proposed_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("is_approved", models.BooleanField(blank=True, null=True)),
                (
                    "reason",
                    models.CharField(blank=True, help_text="Why it was declined.", max_length=300),
                ),
                ("may_subscribe", models.BooleanField(default=False)),
                (
                    "may_redeem",
                    models.BooleanField(default=False, verbose_name="may redeem and switch"),
                ),
                ("first_day", models.DateField()),
                ("last_day", models.DateField()),
                ("deed_name", models.CharField(max_length=120)),
                ("deed_type", models.CharField(max_length=20)),
                ("deed_size", models.PositiveIntegerField()),
                ("deed_digest", models.CharField(max_length=64)),
                ("sealed_content", models.BinaryField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("end_reason", models.CharField(blank=True, max_length=300)),
                (
                    "attorney",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="powers_held",
                        to="investors.investor",
                    ),
                ),
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
                    "ended_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "investor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="powers",
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
            ],
            options={
                "verbose_name_plural": "powers of attorney",
                "ordering": ["-proposed_at"],
                "abstract": False,
            },
        ),
        migrations.AddField(
            model_name="dealingorder",
            name="under_power",
            field=models.ForeignKey(
                blank=True,
                help_text="By which an attorney placed it.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="orders",
                to="investors.powerofattorney",
            ),
        ),
        migrations.AddConstraint(
            model_name="powerofattorney",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    models.Q(("is_approved", None), ("is_approved", True), _connector="OR"),
                    ("ended_at", None),
                ),
                fields=("investor", "attorney"),
                name="investors_powerofattorney_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="powerofattorney",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("investor", models.F("attorney")), _negated=True),
                    ("last_day__gte", models.F("first_day")),
                ),
                name="investors_powerofattorney_other",
            ),
        ),
        migrations.AddConstraint(
            model_name="powerofattorney",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by", None),
                    models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                    _connector="OR",
                ),
                name="investors_powerofattorney_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="powerofattorney",
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
                name="investors_powerofattorney_decided",
            ),
        ),
        migrations.RunSQL(SAY + ROUTED, UNROUTED + "DROP FUNCTION investors_say_attorney;"),
        migrations.RunSQL(WALLS, WALLS_BACK),
    ]
