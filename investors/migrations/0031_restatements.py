"""Restatements of wrong NAVs: measured by one person, signed by two others, owed to holders."""

import uuid
from decimal import Decimal

import django.db.models.deletion
import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

CONTENT = r"""
CREATE FUNCTION investors_say_restatement(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Restate NAVs of ' || wall_line(f.name) || ' (' || wall_line(f.code) || ') from ' || r.first
      || coalesce(' to ' || r.last, ' on') || E'\n' || 'Net assets lacked: ' || trim_scale(r.amount)
      || ' ' || wall_line(f.currency) || E'\n' || 'Cause: ' || wall_line(r.cause)
      || E'\n' || 'Evidence: ' || wall_line(r.evidence)
      || E'\n' || 'Owed to holders: ' || wall_line(r.content ->> 'owed') || ' '
      || wall_line(f.currency) || ', borne by the '
      || CASE WHEN r.is_borne_by_manager THEN 'manager' ELSE 'fund' END
      || E'\n' || 'The manager makes good: ' || wall_line(r.content ->> 'fund_loss')
      || ', claims left open: ' || wall_line(r.content ->> 'claims')
      || coalesce((SELECT string_agg(E'\n' || 'Owe holder ' || wall_line(h.item ->> 'number')
          || ', class ' || wall_line(h.item ->> 'share_class') || ': '
          || wall_line(h.item ->> 'amount'), '' ORDER BY h.place)
        FROM (SELECT x.item, x.place FROM jsonb_array_elements(r.content -> 'holders')
          WITH ORDINALITY x(item, place) ORDER BY x.place LIMIT 40) h), '')
      || E'\n' || 'Holders in all: ' || jsonb_array_length(r.content -> 'holders')
      || E'\n' || 'Their content: '
      || encode(sha256(convert_to((r.content -> 'holders')::text, 'UTF8')), 'hex')
      || E'\n' || 'Prepared by: ' || wall_account(r.prepared_by_id) || ', '
      || wall_when(r.prepared_at) || E'\n' || 'Package: ' || r.content_hash
      || E'\n' || 'Restatement: ' || r.id
    FROM investors_restatement r JOIN investors_fund f ON f.id = r.fund_id
    WHERE r.id = p_subject AND r.booked_at IS NULL AND r.declined_at IS NULL
$$;

CREATE OR REPLACE FUNCTION authority_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE split_part(p_action, '.', 1)
    WHEN 'fuse' THEN risk_content(p_action, p_subject)
    WHEN 'limits' THEN risk_content(p_action, p_subject)
    WHEN 'role' THEN core_content(p_action, p_subject)
    WHEN 'account' THEN investors_say_account(p_subject)
    WHEN 'payee' THEN investors_say_payee(p_subject)
    WHEN 'distribution' THEN investors_say_distribution(p_subject)
    WHEN 'terms' THEN investors_say_terms(p_subject)
    WHEN 'restatement' THEN investors_say_restatement(p_subject)
    ELSE investors_content(p_action, p_subject) END
$$;

CREATE OR REPLACE FUNCTION authority_roles(p_action text) RETURNS text[]
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE p_action
    WHEN 'fuse.arm' THEN ARRAY['risk_officer', 'director']
    WHEN 'limits.set' THEN ARRAY['risk_officer']
    WHEN 'nav.approve' THEN ARRAY['controller']
    WHEN 'payment.approve' THEN ARRAY['controller', 'director']
    WHEN 'kyc.approve' THEN ARRAY['compliance', 'director']
    WHEN 'role.give' THEN ARRAY['director']
    WHEN 'role.take' THEN ARRAY['director']
    WHEN 'dealing.approve' THEN ARRAY['controller', 'director']
    WHEN 'account.approve' THEN ARRAY['controller']
    WHEN 'payee.approve' THEN ARRAY['controller']
    WHEN 'distribution.approve' THEN ARRAY['controller', 'director']
    WHEN 'terms.approve' THEN ARRAY['controller']
    WHEN 'restatement.approve' THEN ARRAY['controller', 'director']
    ELSE ARRAY[]::text[] END
$$;
"""

SIGNED = r"""
-- Two other people sign a package, one of them a controller and one a director, and then it is
-- booked; what was prepared never changes.
CREATE FUNCTION investors_restatement_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.approved_by_id IS NOT NULL OR new.directed_by_id IS NOT NULL
       OR new.declined_at IS NOT NULL OR new.booked_at IS NOT NULL THEN
      RAISE EXCEPTION 'restatements: it is prepared first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.booked_at IS NOT NULL OR old.declined_at IS NOT NULL
     OR old.approved_by_id IS NOT NULL AND new.approved_by_id IS DISTINCT FROM old.approved_by_id
     OR old.directed_by_id IS NOT NULL AND new.directed_by_id IS DISTINCT FROM old.directed_by_id
  THEN
    RAISE EXCEPTION 'restatements: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  SELECT f.book INTO STRICT book FROM investors_fund f WHERE f.id = old.fund_id;
  IF new.approved_by_id IS NOT NULL AND old.approved_by_id IS NULL THEN
    PERFORM authority_two_people('restatements', old.prepared_by_id, new.approved_by_id);
    PERFORM authority_signed('restatement.approve', old.id, new.approved_by_id, book,
      interval '15 minutes');
    PERFORM investors_holds_role(new.approved_by_id, 'controller', book);
  END IF;
  IF new.directed_by_id IS NOT NULL AND old.directed_by_id IS NULL THEN
    PERFORM authority_two_people('restatements', old.prepared_by_id, new.directed_by_id);
    PERFORM authority_signed('restatement.approve', old.id, new.directed_by_id, book,
      interval '15 minutes');
    PERFORM investors_holds_role(new.directed_by_id, 'director', book);
  END IF;
  IF new.approved_by_id IS NOT NULL AND new.directed_by_id IS NOT NULL THEN
    PERFORM authority_two_people('restatements', new.approved_by_id, new.directed_by_id);
  ELSIF new.booked_at IS NOT NULL THEN
    RAISE EXCEPTION 'restatements: two signatures come before the booking'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;

CREATE FUNCTION investors_holds_role(p_account uuid, p_role text, p_book text) RETURNS void
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT wall_invents(p_book) AND NOT EXISTS (SELECT 1 FROM core_rolegrant g
      WHERE g.user_id = p_account AND g.role = p_role AND g.revoked_at IS NULL) THEN
    RAISE EXCEPTION 'roles: % is no %', wall_account(p_account), p_role
      USING ERRCODE = 'check_violation';
  END IF;
END $$;

CREATE TRIGGER restatement_signed BEFORE INSERT OR UPDATE ON investors_restatement
  FOR EACH ROW EXECUTE FUNCTION investors_restatement_signed();
ALTER TABLE investors_restatement ENABLE ALWAYS TRIGGER restatement_signed;

-- A holder is owed compensation as the booked package says, once.
CREATE FUNCTION investors_order_compensates() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM investors_restatement r
      CROSS JOIN LATERAL jsonb_array_elements(r.content -> 'holders') h(item)
      WHERE r.id = new.restatement_id AND r.booked_at IS NOT NULL
        AND h.item ->> 'investor' = new.investor_id::text
        AND h.item ->> 'class' = new.share_class_id::text
        AND (h.item ->> 'amount')::numeric = new.amount)
     OR new.dealt_amount IS DISTINCT FROM new.amount OR new.paid_amount <> 0
     OR new.state <> 'payable' OR new.dealt_units IS NOT NULL OR new.funded_amount <> 0 THEN
    RAISE EXCEPTION 'orders: more than the restatement that was signed'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER order_compensates BEFORE INSERT ON investors_dealingorder
  FOR EACH ROW WHEN (new.kind = 'compensation') EXECUTE FUNCTION investors_order_compensates();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER order_compensates;
DROP TRIGGER order_money ON investors_dealingorder;
CREATE TRIGGER order_money BEFORE INSERT OR UPDATE ON investors_dealingorder
  FOR EACH ROW WHEN (new.kind <> 'compensation') EXECUTE FUNCTION investors_order_money();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER order_money;

REVOKE ALL ON FUNCTION investors_say_restatement, investors_restatement_signed,
  investors_holds_role, investors_order_compensates FROM PUBLIC;
"""

SIGNED_BACK = r"""
DROP FUNCTION investors_order_compensates() CASCADE;
DROP FUNCTION investors_restatement_signed() CASCADE;
DROP FUNCTION investors_holds_role;
DROP TRIGGER order_money ON investors_dealingorder;
CREATE TRIGGER order_money BEFORE INSERT OR UPDATE ON investors_dealingorder
  FOR EACH ROW EXECUTE FUNCTION investors_order_money();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER order_money;
"""

CONTENT_BACK = (
    CONTENT[CONTENT.index("CREATE OR REPLACE FUNCTION authority_content") :]
    .replace("    WHEN 'restatement' THEN investors_say_restatement(p_subject)\n", "")
    .replace("    WHEN 'restatement.approve' THEN ARRAY['controller', 'director']\n", "")
    + "DROP FUNCTION investors_say_restatement;"
)

WALLS = """
REVOKE ALL ON "investors_restatement" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_restatement" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_restatement" TO fa_app, fa_gateway;
GRANT UPDATE ("approved_by_id", "approved_at", "directed_by_id", "directed_at", "declined_by_id",
  "declined_at", "declined_reason", "booked_at") ON "investors_restatement" TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0030_expenses"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Restatement",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("first", models.DateField(help_text="Day of the first wrong NAV.")),
                (
                    "last",
                    models.DateField(
                        blank=True,
                        help_text="Day of the last wrong NAV; empty: every later one.",
                        null=True,
                    ),
                ),
                (
                    "amount",
                    magnetfund.core.fields.ExactField(
                        help_text="What net assets of each lacked, in the fund's currency."
                    ),
                ),
                (
                    "material_from",
                    magnetfund.core.fields.ExactField(
                        help_text="Share of the right price from which an error counts."
                    ),
                ),
                (
                    "is_borne_by_manager",
                    models.BooleanField(
                        default=False,
                        help_text="The manager, not the fund, bears what holders are owed.",
                    ),
                ),
                ("cause", models.CharField(max_length=300)),
                ("evidence", models.CharField(max_length=500)),
                ("content", models.JSONField()),
                ("content_hash", models.CharField(max_length=64)),
                ("prepared_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("directed_at", models.DateTimeField(blank=True, null=True)),
                ("declined_at", models.DateTimeField(blank=True, null=True)),
                ("declined_reason", models.CharField(blank=True, max_length=300)),
                ("booked_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-prepared_at"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="dealingorder",
            name="investors_dealingorder_measured",
        ),
        migrations.RemoveConstraint(
            model_name="dealingorder",
            name="investors_dealingorder_paid",
        ),
        migrations.AlterField(
            model_name="dealingorder",
            name="kind",
            field=models.CharField(
                choices=[
                    ("subscription", "Subscription"),
                    ("redemption", "Redemption"),
                    ("switch", "Switch"),
                    ("distribution", "Distribution in cash"),
                    ("reinvestment", "Distribution in units"),
                    ("compensation", "Compensation of a wrong NAV"),
                ],
                max_length=12,
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
                ],
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="restatement",
            name="approved_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="restatement",
            name="declined_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="restatement",
            name="directed_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="restatement",
            name="fund",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="restatements",
                to="investors.fund",
            ),
        ),
        migrations.AddField(
            model_name="restatement",
            name="prepared_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="dealingorder",
            name="restatement",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="orders",
                to="investors.restatement",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("amount__isnull", False),
                        (
                            "kind__in",
                            ("subscription", "distribution", "reinvestment", "compensation"),
                        ),
                    ),
                    models.Q(
                        ("is_all", False),
                        ("kind__in", ("redemption", "switch")),
                        ("units__isnull", False),
                    ),
                    models.Q(
                        ("is_all", True),
                        ("kind__in", ("redemption", "switch")),
                        ("units__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="investors_dealingorder_measured",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("held_amount", 0), ("paid_amount", 0)),
                    models.Q(
                        (
                            "dealt_amount__gte",
                            django.db.models.expressions.CombinedExpression(
                                models.F("paid_amount"), "+", models.F("held_amount")
                            ),
                        ),
                        (
                            "kind__in",
                            ("redemption", "distribution", "reinvestment", "compensation"),
                        ),
                    ),
                    _connector="OR",
                ),
                name="investors_dealingorder_paid",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("dealt_amount", models.F("amount")),
                        ("kind", "compensation"),
                        ("restatement__isnull", False),
                    ),
                    models.Q(
                        models.Q(("kind", "compensation"), _negated=True), ("restatement", None)
                    ),
                    _connector="OR",
                ),
                name="investors_dealingorder_restated",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.UniqueConstraint(
                fields=("restatement", "investor", "share_class"),
                name="investors_dealingorder_compensated_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="restatement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gt", Decimal("-1E+20")), ("amount__lt", Decimal("1E+20"))),
                    ("amount__isnull", True),
                    _connector="OR",
                ),
                name="investors_restatement_amount_finite",
            ),
        ),
        migrations.AddConstraint(
            model_name="restatement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("material_from__gt", Decimal("-1E+20")),
                        ("material_from__lt", Decimal("1E+20")),
                    ),
                    ("material_from__isnull", True),
                    _connector="OR",
                ),
                name="investors_restatement_material_from_finite",
            ),
        ),
        migrations.AddConstraint(
            model_name="restatement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("approved_by", None),
                        models.Q(("approved_by", models.F("prepared_by")), _negated=True),
                        _connector="OR",
                    ),
                    models.Q(
                        ("directed_by", None),
                        models.Q(("directed_by", models.F("prepared_by")), _negated=True),
                        _connector="OR",
                    ),
                    models.Q(
                        ("directed_by", None),
                        ("approved_by", None),
                        models.Q(("directed_by", models.F("approved_by")), _negated=True),
                        _connector="OR",
                    ),
                ),
                name="investors_restatement_six_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="restatement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("booked_at", None),
                    models.Q(
                        ("approved_by__isnull", False),
                        ("declined_at", None),
                        ("directed_by__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="investors_restatement_signed_first",
            ),
        ),
        migrations.RunSQL(CONTENT, CONTENT_BACK),
        migrations.RunSQL(SIGNED, SIGNED_BACK),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
