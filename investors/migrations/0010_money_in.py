"""Accounts of the fund, statements of banks and chains, and what their money was used for."""

import uuid
from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

WALLS = """
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_lineallocation"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_lineallocation"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_lineallocation" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_lineallocation" ENABLE ALWAYS TRIGGER append_only_truncate;
REVOKE ALL ON "investors_fundaccount" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_fundaccount" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_fundaccount" TO fa_app, fa_gateway;
GRANT UPDATE ("approved_by_id", "approved_at", "closed_at") ON "investors_fundaccount" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_payeeaccount" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_payeeaccount" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_payeeaccount" TO fa_app, fa_gateway;
GRANT UPDATE ("approved_by_id", "approved_at", "usable_from", "closed_at") ON "investors_payeeaccount" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_statementfile" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_statementfile" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_statementfile" TO fa_app, fa_gateway;
GRANT UPDATE ("confirmed_at", "counts") ON "investors_statementfile" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_statementline" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_statementline" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_statementline" TO fa_app, fa_gateway;
GRANT UPDATE ("confirmations", "final_at", "outcome", "allocated", "owner_id") ON "investors_statementline" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_lineallocation" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_lineallocation" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_lineallocation" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
GRANT UPDATE ("funded_amount", "is_part_taken") ON "investors_dealingorder" TO fa_app, fa_gateway;
"""
#: Orders whose money was booked before receipts had rows of their own.
FUNDED = """
UPDATE investors_dealingorder SET funded_amount = amount
 WHERE kind = 'subscription' AND funded_at IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0009_chained_units"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="FundAccount",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("code", models.CharField(max_length=20)),
                (
                    "kind",
                    models.CharField(
                        choices=[("bank", "bank account"), ("wallet", "wallet")], max_length=6
                    ),
                ),
                (
                    "bank",
                    models.CharField(
                        help_text="Name of the bank, or of the chain.", max_length=120
                    ),
                ),
                (
                    "number",
                    models.CharField(help_text="IBAN, account number or address.", max_length=120),
                ),
                ("currency", models.CharField(max_length=8)),
                (
                    "confirmations",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Blocks after which a transfer of the chain counts as final.",
                    ),
                ),
                ("opened_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["code"],
            },
        ),
        migrations.CreateModel(
            name="LineAllocation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "use",
                    models.CharField(
                        choices=[
                            ("order", "Funds an order"),
                            ("advance", "Kept for the investor's next order"),
                        ],
                        max_length=8,
                    ),
                ),
                ("amount", magnetfund.core.fields.ExactField()),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("made_by_label", models.CharField(max_length=120)),
                ("made_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
            ],
            options={
                "ordering": ["made_at", "id"],
            },
        ),
        migrations.CreateModel(
            name="PayeeAccount",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("bank", "bank account"), ("wallet", "wallet")], max_length=6
                    ),
                ),
                (
                    "name",
                    models.CharField(help_text="Name of the account's holder.", max_length=200),
                ),
                (
                    "number",
                    models.CharField(help_text="IBAN, account number or address.", max_length=120),
                ),
                (
                    "bank",
                    models.CharField(
                        blank=True, help_text="BIC, or name of the chain.", max_length=120
                    ),
                ),
                ("currency", models.CharField(max_length=8)),
                (
                    "evidence",
                    models.CharField(
                        help_text="How it was proved: call-back, test transfer, signed message.",
                        max_length=300,
                    ),
                ),
                ("added_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("usable_from", models.DateTimeField(blank=True, null=True)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["name", "added_at"],
            },
        ),
        migrations.CreateModel(
            name="StatementFile",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "format",
                    models.CharField(
                        choices=[
                            ("camt053", "camt.053"),
                            ("csv", "bank CSV"),
                            ("chain", "chain CSV"),
                        ],
                        max_length=8,
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("content", models.BinaryField()),
                ("sha256", models.CharField(max_length=64)),
                ("closing", magnetfund.core.fields.ExactField(blank=True, null=True)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("uploaded_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("confirmed_at", models.DateTimeField(blank=True, null=True)),
                ("counts", models.JSONField(blank=True, default=dict)),
            ],
            options={
                "ordering": ["-uploaded_at"],
            },
        ),
        migrations.CreateModel(
            name="StatementLine",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("reference", models.CharField(max_length=100)),
                (
                    "identity",
                    models.CharField(
                        help_text="Hash of amount, currency and party.", max_length=64
                    ),
                ),
                ("amount", magnetfund.core.fields.ExactField()),
                ("currency", models.CharField(max_length=8)),
                ("party", models.CharField(blank=True, max_length=200)),
                ("party_account", models.CharField(blank=True, max_length=120)),
                ("text", models.CharField(blank=True, max_length=300)),
                ("end_to_end", models.CharField(blank=True, max_length=100)),
                ("return_code", models.CharField(blank=True, max_length=4)),
                ("booked_at", models.DateTimeField()),
                ("confirmations", models.PositiveIntegerField(blank=True, null=True)),
                (
                    "final_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When the money was final and entered the books.",
                        null=True,
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("exact", "Exact"),
                            ("short", "Short"),
                            ("over", "Over"),
                            ("late", "Late"),
                            ("unknown", "Unknown"),
                            ("third_party", "Third party"),
                            ("wrong_currency", "Wrong currency"),
                            ("payment", "Payment out"),
                            ("returned", "Payment came back"),
                        ],
                        max_length=14,
                    ),
                ),
                ("allocated", magnetfund.core.fields.ExactField(default=0)),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-booked_at", "id"],
            },
        ),
        migrations.AddField(
            model_name="dealingorder",
            name="funded_amount",
            field=magnetfund.core.fields.ExactField(
                default=0, help_text="Cleared money of a subscription so far."
            ),
        ),
        migrations.AddField(
            model_name="dealingorder",
            name="is_part_taken",
            field=models.BooleanField(
                default=False,
                help_text="The investor asked to deal what was paid, below the amount.",
            ),
        ),
        migrations.AddField(
            model_name="fund",
            name="cooling_off_days",
            field=models.PositiveSmallIntegerField(
                default=3,
                help_text="Days from the approval of changed bank details to their first use.",
            ),
        ),
        migrations.RunSQL(FUNDED, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="dealingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("funded_amount", 0),
                    models.Q(
                        ("funded_amount__gt", 0),
                        ("funded_amount__lte", models.F("amount")),
                        ("kind", "subscription"),
                    ),
                    _connector="OR",
                ),
                name="investors_dealingorder_funded",
            ),
        ),
        migrations.AddField(
            model_name="fundaccount",
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
            model_name="fundaccount",
            name="fund",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="accounts",
                to="investors.fund",
            ),
        ),
        migrations.AddField(
            model_name="fundaccount",
            name="opened_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="lineallocation",
            name="entry",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="investors.entry",
            ),
        ),
        migrations.AddField(
            model_name="lineallocation",
            name="investor",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="investors.investor",
            ),
        ),
        migrations.AddField(
            model_name="lineallocation",
            name="made_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="lineallocation",
            name="order",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="receipt_parts",
                to="investors.dealingorder",
            ),
        ),
        migrations.AddField(
            model_name="payeeaccount",
            name="added_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="payeeaccount",
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
            model_name="payeeaccount",
            name="fund",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="payees",
                to="investors.fund",
            ),
        ),
        migrations.AddField(
            model_name="payeeaccount",
            name="investor",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="accounts",
                to="investors.investor",
            ),
        ),
        migrations.AddField(
            model_name="statementfile",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="files",
                to="investors.fundaccount",
            ),
        ),
        migrations.AddField(
            model_name="statementfile",
            name="uploaded_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="statementline",
            name="account",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="lines",
                to="investors.fundaccount",
            ),
        ),
        migrations.AddField(
            model_name="statementline",
            name="file",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="lines",
                to="investors.statementfile",
            ),
        ),
        migrations.AddField(
            model_name="statementline",
            name="fund",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="statement_lines",
                to="investors.fund",
            ),
        ),
        migrations.AddField(
            model_name="statementline",
            name="owner",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="lineallocation",
            name="line",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="allocations",
                to="investors.statementline",
            ),
        ),
        migrations.AddConstraint(
            model_name="fundaccount",
            constraint=models.UniqueConstraint(
                fields=("fund", "code"), name="investors_fundaccount_code"
            ),
        ),
        migrations.AddConstraint(
            model_name="fundaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("approved_by", None),
                    models.Q(("approved_by", models.F("opened_by")), _negated=True),
                    _connector="OR",
                ),
                name="investors_fundaccount_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="fundaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("approved_at", None), ("approved_by", None)),
                    models.Q(("approved_at__isnull", False), ("approved_by__isnull", False)),
                    _connector="OR",
                ),
                name="investors_fundaccount_approved",
            ),
        ),
        migrations.AddIndex(
            model_name="payeeaccount",
            index=models.Index(fields=["investor"], name="investors_payee_of"),
        ),
        migrations.AddConstraint(
            model_name="payeeaccount",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closed_at", None)),
                fields=("fund", "investor", "number"),
                name="investors_payeeaccount_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="payeeaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("approved_by", None),
                    models.Q(("approved_by", models.F("added_by")), _negated=True),
                    _connector="OR",
                ),
                name="investors_payeeaccount_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            model_name="payeeaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("approved_at", None), ("approved_by", None), ("usable_from", None)),
                    models.Q(
                        ("approved_at__isnull", False),
                        ("approved_by__isnull", False),
                        ("usable_from__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="investors_payeeaccount_approved",
            ),
        ),
        migrations.AddConstraint(
            model_name="statementfile",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("closing__gt", Decimal("-1E+20")), ("closing__lt", Decimal("1E+20"))),
                    ("closing__isnull", True),
                    _connector="OR",
                ),
                name="investors_statementfile_closing_finite",
            ),
        ),
        migrations.AddIndex(
            model_name="statementline",
            index=models.Index(fields=["fund", "-booked_at"], name="investors_line_newest"),
        ),
        migrations.AddIndex(
            model_name="statementline",
            index=models.Index(
                condition=models.Q(("amount__gt", models.F("allocated"))),
                fields=["fund", "booked_at"],
                name="investors_line_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="statementline",
            constraint=models.UniqueConstraint(
                fields=("fund", "account", "reference"),
                name="investors_statementline_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="statementline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gt", Decimal("-1E+20")), ("amount__lt", Decimal("1E+20"))),
                    ("amount__isnull", True),
                    _connector="OR",
                ),
                name="investors_statementline_amount_finite",
            ),
        ),
        migrations.AddConstraint(
            model_name="statementline",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount", 0), _negated=True),
                name="investors_statementline_not_zero",
            ),
        ),
        migrations.AddConstraint(
            model_name="statementline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("allocated", 0),
                    models.Q(
                        ("allocated__gt", 0),
                        ("allocated__lte", models.F("amount")),
                        ("final_at__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="investors_statementline_allocated",
            ),
        ),
        migrations.AddConstraint(
            model_name="lineallocation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gt", Decimal("-1E+20")), ("amount__lt", Decimal("1E+20"))),
                    ("amount__isnull", True),
                    _connector="OR",
                ),
                name="investors_lineallocation_amount_finite",
            ),
        ),
        migrations.AddConstraint(
            model_name="lineallocation",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount", 0), _negated=True),
                name="investors_lineallocation_not_zero",
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
                    _connector="OR",
                ),
                name="investors_lineallocation_named",
            ),
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
