"""Running costs of a fund and their changes, decided by another person than proposed them."""

import uuid
from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

WALLS = """
REVOKE ALL ON "investors_expense" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_expense" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_expense" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved", "reason") ON "investors_expense"
  TO fa_app, fa_gateway;
REVOKE ALL ON "investors_expensechange" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_expensechange" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_expensechange" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved", "reason") ON "investors_expensechange"
  TO fa_app, fa_gateway;

-- A proposal comes undecided, is decided once, and by another human being.
CREATE FUNCTION expense_decided() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF new.is_approved IS NOT NULL THEN
      RAISE EXCEPTION 'expenses: it is proposed first and decided by another person'
        USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN new;
  END IF;
  IF old.is_approved IS NOT NULL THEN
    RAISE EXCEPTION 'expenses: a decision stands' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF (SELECT u.person FROM public.core_user u WHERE u.id = new.decided_by_id)
     = (SELECT u.person FROM public.core_user u WHERE u.id = old.proposed_by_id) THEN
    RAISE EXCEPTION 'expenses: it is decided by another person than proposed it'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN new;
END $$;
REVOKE ALL ON FUNCTION expense_decided() FROM PUBLIC;
CREATE TRIGGER expense_decided BEFORE INSERT OR UPDATE ON "investors_expense"
  FOR EACH ROW EXECUTE FUNCTION expense_decided();
ALTER TABLE "investors_expense" ENABLE ALWAYS TRIGGER expense_decided;
CREATE TRIGGER expense_decided BEFORE INSERT OR UPDATE ON "investors_expensechange"
  FOR EACH ROW EXECUTE FUNCTION expense_decided();
ALTER TABLE "investors_expensechange" ENABLE ALWAYS TRIGGER expense_decided;
"""
UNWALLS = """
DROP TRIGGER expense_decided ON "investors_expense";
DROP TRIGGER expense_decided ON "investors_expensechange";
DROP FUNCTION expense_decided();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0029_units_in_bulk"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Expense",
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
                    "account",
                    models.CharField(
                        choices=[
                            ("5030", "Administration"),
                            ("5040", "Audit"),
                            ("5050", "Custody"),
                            ("5060", "Legal"),
                            ("5070", "Bank charges"),
                            ("5080", "Tax expense"),
                        ],
                        max_length=4,
                    ),
                ),
                ("supplier", models.CharField(max_length=120)),
                (
                    "reference",
                    models.CharField(
                        help_text="Of the contract, budget or invoice; once for each supplier.",
                        max_length=80,
                    ),
                ),
                ("amount", magnetfund.core.fields.ExactField()),
                ("is_yearly", models.BooleanField(default=False, verbose_name="a sum a year")),
                ("first_day", models.DateField()),
                ("last_day", models.DateField(blank=True, null=True)),
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
                        related_name="expenses",
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
            ],
            options={
                "ordering": ["-proposed_at"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ExpenseChange",
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
                        choices=[("end", "Last day"), ("invoice", "Final invoice")], max_length=8
                    ),
                ),
                ("last_day", models.DateField(blank=True, null=True)),
                ("amount", magnetfund.core.fields.ExactField(blank=True, null=True)),
                (
                    "reference",
                    models.CharField(blank=True, help_text="Number of the invoice.", max_length=80),
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
                    "expense",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="changes",
                        to="investors.expense",
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
                "ordering": ["-proposed_at"],
                "abstract": False,
            },
        ),
        migrations.AddConstraint(
            model_name="expense",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_approved", None), ("is_approved", True), _connector="OR"),
                fields=("fund", "supplier", "reference"),
                name="investors_expense_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="expense",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gt", 0), ("amount__lt", Decimal("1E+20"))),
                    ("amount__isnull", True),
                    _connector="OR",
                ),
                name="investors_expense_amount_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="expense",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by", None),
                    models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                    _connector="OR",
                ),
                name="investors_expense_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="expense",
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
                name="investors_expense_decided",
            ),
        ),
        migrations.AddConstraint(
            model_name="expense",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("is_yearly", True), ("last_day", None)),
                    ("last_day__gte", models.F("first_day")),
                    _connector="OR",
                ),
                name="investors_expense_period",
            ),
        ),
        migrations.AddConstraint(
            model_name="expensechange",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_approved", None), ("is_approved", True), _connector="OR"),
                fields=("expense", "kind"),
                name="investors_expensechange_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="expensechange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gte", 0), ("amount__lt", Decimal("1E+20"))),
                    ("amount__isnull", True),
                    _connector="OR",
                ),
                name="investors_expensechange_amount_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="expensechange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by", None),
                    models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                    _connector="OR",
                ),
                name="investors_expensechange_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="expensechange",
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
                name="investors_expensechange_decided",
            ),
        ),
        migrations.AddConstraint(
            model_name="expensechange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("amount", None),
                        ("kind", "end"),
                        ("last_day__isnull", False),
                        ("reference", ""),
                    ),
                    models.Q(
                        ("amount__isnull", False),
                        ("kind", "invoice"),
                        ("last_day", None),
                        models.Q(("reference", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="investors_expensechange_kind",
            ),
        ),
        migrations.RunSQL(WALLS, UNWALLS),
    ]
