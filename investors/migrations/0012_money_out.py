"""Payments of the fund: prepared, signed in bands, released in a file, confirmed or returned."""

import uuid
from decimal import Decimal

import django.db.models.deletion
import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

WALLS = """
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_paymentfile"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_paymentfile"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_paymentfile" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_paymentfile" ENABLE ALWAYS TRIGGER append_only_truncate;
REVOKE ALL ON "investors_payment" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_payment" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_payment" TO fa_app, fa_gateway;
GRANT UPDATE ("state", "approved_by_id", "approved_at", "directed_by_id", "directed_at", "file_id", "confirmed_at", "bank_reference", "entry_id", "closed_at", "reason") ON "investors_payment" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_paymentfile" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_paymentfile" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_paymentfile" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
GRANT UPDATE ("paid_amount", "held_amount") ON "investors_dealingorder" TO fa_app, fa_gateway;
"""
#: Redemptions dealt before payments had rows of their own were paid on their dealing day.
PAID = """
UPDATE investors_dealingorder SET paid_amount = dealt_amount
 WHERE kind = 'redemption' AND dealt_amount IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0011_applications"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Payment",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("number", models.PositiveIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("redemption", "Redemption proceeds"),
                            ("refund", "Refund to origin"),
                            ("management_fee", "Management fee"),
                            ("performance_fee", "Performance fee"),
                            ("expense", "Expense"),
                        ],
                        max_length=16,
                    ),
                ),
                ("amount", magnetfund.core.fields.ExactField()),
                ("currency", models.CharField(max_length=8)),
                ("to_name", models.CharField(max_length=200)),
                ("to_number", models.CharField(max_length=120)),
                ("to_bank", models.CharField(blank=True, max_length=120)),
                ("text", models.CharField(max_length=140)),
                ("content_hash", models.CharField(max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("prepared", "Prepared"),
                            ("approved", "Approved"),
                            ("released", "Released"),
                            ("confirmed", "Confirmed"),
                            ("returned", "Came back"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="prepared",
                        max_length=9,
                    ),
                ),
                ("prepared_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("directed_at", models.DateTimeField(blank=True, null=True)),
                ("confirmed_at", models.DateTimeField(blank=True, null=True)),
                ("bank_reference", models.CharField(blank=True, max_length=100)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "ordering": ["-number"],
            },
        ),
        migrations.CreateModel(
            name="PaymentFile",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=60, unique=True)),
                ("content", models.BinaryField()),
                ("sha256", models.CharField(max_length=64)),
                ("released_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
            ],
            options={
                "ordering": ["-released_at"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="lineallocation",
            name="investors_lineallocation_named",
        ),
        migrations.AddField(
            model_name="dealingorder",
            name="held_amount",
            field=magnetfund.core.fields.ExactField(
                default=0, help_text="Proceeds held back until the audit."
            ),
        ),
        migrations.AddField(
            model_name="dealingorder",
            name="paid_amount",
            field=magnetfund.core.fields.ExactField(
                default=0, help_text="Proceeds that the bank confirmed."
            ),
        ),
        migrations.AddField(
            model_name="fund",
            name="payment_band",
            field=magnetfund.core.fields.ExactField(
                default=25000, help_text="Above it a director signs a payment too."
            ),
        ),
        migrations.AlterField(
            model_name="lineallocation",
            name="use",
            field=models.CharField(
                choices=[
                    ("order", "Funds an order"),
                    ("advance", "Kept for the investor's next order"),
                    ("refund", "Went back to its sender"),
                ],
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("paid_amount__gte", 0), ("paid_amount__lt", Decimal("1E+20"))),
                    ("paid_amount__isnull", True),
                    _connector="OR",
                ),
                name="investors_dealingorder_paid_amount_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("held_amount__gte", 0), ("held_amount__lt", Decimal("1E+20"))),
                    ("held_amount__isnull", True),
                    _connector="OR",
                ),
                name="investors_dealingorder_held_amount_not_negative",
            ),
        ),
        migrations.RunSQL(PAID, migrations.RunSQL.noop),
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
                        ("kind", "redemption"),
                    ),
                    _connector="OR",
                ),
                name="investors_dealingorder_paid",
            ),
        ),
        migrations.AddConstraint(
            model_name="fund",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("payment_band__gte", 0), ("payment_band__lt", Decimal("1E+20"))),
                    ("payment_band__isnull", True),
                    _connector="OR",
                ),
                name="investors_fund_payment_band_not_negative",
            ),
        ),
        migrations.AddField(
            model_name="payment",
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
            model_name="payment",
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
            model_name="payment",
            name="entry",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="investors.entry",
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="fund",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="payments",
                to="investors.fund",
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="line",
            field=models.ForeignKey(
                blank=True,
                help_text="The receipt that goes back.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="refunds",
                to="investors.statementline",
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="order",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="payments",
                to="investors.dealingorder",
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="payee",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="investors.payeeaccount",
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="prepared_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="lineallocation",
            name="payment",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="investors.payment",
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
                    _connector="OR",
                ),
                name="investors_lineallocation_named",
            ),
        ),
        migrations.AddField(
            model_name="paymentfile",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, to="investors.fundaccount"
            ),
        ),
        migrations.AddField(
            model_name="paymentfile",
            name="released_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="file",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="payments",
                to="investors.paymentfile",
            ),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(fields=["fund", "state"], name="investors_payment_state"),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                fields=("fund", "number"), name="investors_payment_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gt", 0), ("amount__lt", Decimal("1E+20"))),
                    ("amount__isnull", True),
                    _connector="OR",
                ),
                name="investors_payment_amount_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("approved_by", None),
                    models.Q(("approved_by", models.F("prepared_by")), _negated=True),
                    _connector="OR",
                ),
                name="investors_payment_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("directed_by", None),
                    models.Q(
                        models.Q(("directed_by", models.F("prepared_by")), _negated=True),
                        models.Q(("directed_by", models.F("approved_by")), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="investors_payment_six_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("state__in", ["approved", "released", "confirmed", "returned"]),
                        _negated=True,
                    ),
                    ("approved_by__isnull", False),
                    _connector="OR",
                ),
                name="investors_payment_approved",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["prepared", "approved", "cancelled"]),
                    ("file__isnull", False),
                    _connector="OR",
                ),
                name="investors_payment_released",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "confirmed"), _negated=True),
                    ("confirmed_at__isnull", False),
                    _connector="OR",
                ),
                name="investors_payment_confirmed",
            ),
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
