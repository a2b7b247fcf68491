"""Orders to switch from one class into another at one NAV."""

from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields

GRANTS = """
GRANT UPDATE ("into_units", "into_price", "into_fee") ON "investors_dealingorder"
  TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0015_signed_money"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="dealingorder",
            name="investors_dealingorder_measured",
        ),
        migrations.AddField(
            model_name="dealingorder",
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
            model_name="dealingorder",
            name="into_fee",
            field=magnetfund.core.fields.ExactField(
                default=0, help_text="Entry fee of the class switched into."
            ),
        ),
        migrations.AddField(
            model_name="dealingorder",
            name="into_price",
            field=magnetfund.core.fields.ExactField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="dealingorder",
            name="into_units",
            field=magnetfund.core.fields.ExactField(
                default=0, help_text="Units that a switch bought."
            ),
        ),
        migrations.AlterField(
            model_name="dealingorder",
            name="is_all",
            field=models.BooleanField(
                default=False, help_text="Takes whatever the lots are when it is dealt."
            ),
        ),
        migrations.AlterField(
            model_name="dealingorder",
            name="kind",
            field=models.CharField(
                choices=[
                    ("subscription", "Subscription"),
                    ("redemption", "Redemption"),
                    ("switch", "Switch"),
                ],
                max_length=12,
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
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("into_price__gt", 0), ("into_price__lt", Decimal("1E+20"))),
                    ("into_price__isnull", True),
                    _connector="OR",
                ),
                name="investors_dealingorder_into_price_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("into_units__gte", 0), ("into_units__lt", Decimal("1E+20"))),
                    ("into_units__isnull", True),
                    _connector="OR",
                ),
                name="investors_dealingorder_into_units_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("into_fee__gte", 0), ("into_fee__lt", Decimal("1E+20"))),
                    ("into_fee__isnull", True),
                    _connector="OR",
                ),
                name="investors_dealingorder_into_fee_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__isnull", False), ("kind", "subscription")),
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
                    models.Q(
                        ("into_class__isnull", False),
                        ("kind", "switch"),
                        models.Q(("into_class", models.F("share_class")), _negated=True),
                    ),
                    models.Q(
                        models.Q(("kind", "switch"), _negated=True),
                        ("into_class", None),
                        ("into_fee", 0),
                        ("into_units", 0),
                    ),
                    _connector="OR",
                ),
                name="investors_dealingorder_into",
            ),
        ),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
