"""Distributions in cash or in units: proposed by one, declared by another, one order a holder."""

import uuid
from decimal import Decimal

import django.db.models.deletion
import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

WALLS = """
REVOKE ALL ON "investors_distribution" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_distribution" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_distribution" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved", "total", "lowers_marks_by")
  ON "investors_distribution" TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0018_names_in_the_plural"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Distribution",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("per_unit", magnetfund.core.fields.ExactField(blank=True, null=True)),
                (
                    "amount",
                    magnetfund.core.fields.ExactField(
                        blank=True, help_text="In all, in the fund's currency.", null=True
                    ),
                ),
                ("is_in_units", models.BooleanField(default=False)),
                (
                    "exceptions",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Numbers of holders who get the other form.",
                    ),
                ),
                ("reason", models.CharField(max_length=300)),
                ("proposed_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("is_approved", models.BooleanField(blank=True, null=True)),
                ("total", magnetfund.core.fields.ExactField(blank=True, null=True)),
                ("lowers_marks_by", magnetfund.core.fields.ExactField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-proposed_at"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="dealingorder",
            name="investors_dealingorder_funded",
        ),
        migrations.RemoveConstraint(
            model_name="dealingorder",
            name="investors_dealingorder_paid",
        ),
        migrations.RemoveConstraint(
            model_name="dealingorder",
            name="investors_dealingorder_measured",
        ),
        migrations.RemoveConstraint(
            model_name="unitentry",
            name="investors_unitentry_not_zero",
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
                    ("refund", "Refund to origin"),
                    ("management_fee", "Management fee"),
                    ("performance_fee", "Performance fee"),
                    ("expense", "Expense"),
                ],
                max_length=16,
            ),
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
                    ("side_pocket_out", "Side Pocket Out"),
                    ("side_pocket_in", "Side Pocket In"),
                    ("merge", "Side pocket merged back"),
                    ("compensation", "Compensation"),
                    ("clock", "Hurdle period begins"),
                    ("distribution", "High-water mark lowered by a distribution"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="unitentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind__in", ("clock", "distribution")), ("units", 0)),
                    models.Q(
                        models.Q(("kind__in", ("clock", "distribution")), _negated=True),
                        models.Q(("units", 0), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="investors_unitentry_not_zero",
            ),
        ),
        migrations.AddField(
            model_name="distribution",
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
            model_name="distribution",
            name="proposed_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="distribution",
            name="share_class",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="distributions",
                to="investors.shareclass",
            ),
        ),
        migrations.AddField(
            model_name="distribution",
            name="strike",
            field=models.ForeignKey(
                help_text="The NAV of the record date: who held units after its dealing is paid.",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="distributions",
                to="investors.navstrike",
            ),
        ),
        migrations.AddField(
            model_name="dealingorder",
            name="distribution",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="orders",
                to="investors.distribution",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("amount__isnull", False),
                        ("kind__in", ("subscription", "distribution", "reinvestment")),
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
                    ("funded_amount", 0),
                    models.Q(
                        ("funded_amount__gt", 0),
                        ("funded_amount__lte", models.F("amount")),
                        ("kind__in", ("subscription", "reinvestment")),
                    ),
                    _connector="OR",
                ),
                name="investors_dealingorder_funded",
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
                        ("kind__in", ("redemption", "distribution", "reinvestment")),
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
                        ("distribution__isnull", False),
                        ("kind__in", ("distribution", "reinvestment")),
                    ),
                    models.Q(
                        models.Q(("kind__in", ("distribution", "reinvestment")), _negated=True),
                        ("distribution", None),
                    ),
                    _connector="OR",
                ),
                name="investors_dealingorder_distributed",
            ),
        ),
        migrations.AddConstraint(
            model_name="distribution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("per_unit__gt", 0), ("per_unit__lt", Decimal("1E+20"))),
                    ("per_unit__isnull", True),
                    _connector="OR",
                ),
                name="investors_distribution_per_unit_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="distribution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gt", 0), ("amount__lt", Decimal("1E+20"))),
                    ("amount__isnull", True),
                    _connector="OR",
                ),
                name="investors_distribution_amount_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="distribution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("total__gt", 0), ("total__lt", Decimal("1E+20"))),
                    ("total__isnull", True),
                    _connector="OR",
                ),
                name="investors_distribution_total_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="distribution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("lowers_marks_by__gt", 0), ("lowers_marks_by__lt", Decimal("1E+20"))),
                    ("lowers_marks_by__isnull", True),
                    _connector="OR",
                ),
                name="investors_distribution_lowers_marks_by_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="distribution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount", None), ("per_unit__isnull", False)),
                    models.Q(("amount__isnull", False), ("per_unit", None)),
                    _connector="OR",
                ),
                name="investors_distribution_measured",
            ),
        ),
        migrations.AddConstraint(
            model_name="distribution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by", None),
                    models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                    _connector="OR",
                ),
                name="investors_distribution_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="distribution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("is_approved", True), _negated=True),
                    models.Q(("lowers_marks_by__isnull", False), ("total__isnull", False)),
                    _connector="OR",
                ),
                name="investors_distribution_decided",
            ),
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
