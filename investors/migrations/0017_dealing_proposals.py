"""Transfers, compulsory redemptions and orders on instruction: proposed by one, decided by two."""

import uuid
from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

WALLS = """
REVOKE ALL ON "investors_dealingproposal" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_dealingproposal" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_dealingproposal" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved", "order_id", "value")
  ON "investors_dealingproposal" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0016_switches"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DealingProposal",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("subscription", "Subscription on instruction"),
                            ("redemption", "Redemption on instruction"),
                            ("switch", "Switch on instruction"),
                            ("transfer", "Transfer to another holder"),
                            ("compulsory", "Compulsory redemption"),
                        ],
                        max_length=12,
                    ),
                ),
                ("amount", magnetfund.core.fields.ExactField(blank=True, null=True)),
                ("units", magnetfund.core.fields.ExactField(blank=True, null=True)),
                ("is_all", models.BooleanField(default=False)),
                (
                    "instruction",
                    models.CharField(
                        blank=True,
                        help_text="What the holder instructed, how and when.",
                        max_length=500,
                    ),
                ),
                (
                    "called_back",
                    models.CharField(
                        blank=True,
                        help_text="Who was called back, on which number, when.",
                        max_length=200,
                    ),
                ),
                ("reason", models.CharField(max_length=300)),
                (
                    "notice",
                    models.CharField(
                        blank=True, help_text="What the holder is told.", max_length=1000
                    ),
                ),
                ("proposed_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("is_approved", models.BooleanField(blank=True, null=True)),
                (
                    "value",
                    magnetfund.core.fields.ExactField(
                        blank=True,
                        help_text="Of transferred units, at the last NAV after every fee.",
                        null=True,
                    ),
                ),
            ],
            options={
                "ordering": ["-proposed_at"],
            },
        ),
        migrations.AddField(
            model_name="dealingorder",
            name="is_compulsory",
            field=models.BooleanField(
                default=False,
                help_text="Ordered by the fund: no lock-up, and not the holder's to cancel.",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("is_compulsory", False), ("kind", "redemption"), _connector="OR"
                ),
                name="investors_dealingorder_compulsory",
            ),
        ),
        migrations.AddField(
            model_name="dealingproposal",
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
            model_name="dealingproposal",
            name="into_class",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="investors.shareclass",
            ),
        ),
        migrations.AddField(
            model_name="dealingproposal",
            name="investor",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="dealing_proposals",
                to="investors.investor",
            ),
        ),
        migrations.AddField(
            model_name="dealingproposal",
            name="order",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="investors.dealingorder",
            ),
        ),
        migrations.AddField(
            model_name="dealingproposal",
            name="proposed_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="dealingproposal",
            name="receiver",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="investors.investor",
            ),
        ),
        migrations.AddField(
            model_name="dealingproposal",
            name="share_class",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, to="investors.shareclass"
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingproposal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gt", 0), ("amount__lt", Decimal("1E+20"))),
                    ("amount__isnull", True),
                    _connector="OR",
                ),
                name="investors_dealingproposal_amount_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingproposal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("units__gt", 0), ("units__lt", Decimal("1E+20"))),
                    ("units__isnull", True),
                    _connector="OR",
                ),
                name="investors_dealingproposal_units_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingproposal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by", None),
                    models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                    _connector="OR",
                ),
                name="investors_dealingproposal_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingproposal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("amount__isnull", False),
                        ("is_all", False),
                        ("kind", "subscription"),
                        ("units", None),
                    ),
                    models.Q(
                        models.Q(("kind", "subscription"), _negated=True),
                        ("amount", None),
                        ("is_all", False),
                        ("units__isnull", False),
                    ),
                    models.Q(
                        models.Q(("kind", "subscription"), _negated=True),
                        ("amount", None),
                        ("is_all", True),
                        ("units", None),
                    ),
                    _connector="OR",
                ),
                name="investors_dealingproposal_measured",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingproposal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("kind", "transfer"),
                        ("receiver__isnull", False),
                        models.Q(("receiver", models.F("investor")), _negated=True),
                    ),
                    models.Q(models.Q(("kind", "transfer"), _negated=True), ("receiver", None)),
                    _connector="OR",
                ),
                name="investors_dealingproposal_receiver",
            ),
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
