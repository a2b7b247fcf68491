"""Differences with a bank, a venue or a custodian, worked to closure by two people."""

import uuid
from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

WALLS = """
REVOKE ALL ON "investors_bookbreak" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_bookbreak" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_bookbreak" TO fa_app, fa_gateway;
GRANT UPDATE ("state", "owner_id", "cause", "explained_by_id", "closed_by_id", "closed_at",
  "resolution", "entry_id") ON "investors_bookbreak" TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0021_statements"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BookBreak",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "source",
                    models.CharField(
                        choices=[("bank", "Bank"), ("venue", "Venue"), ("custodian", "Custodian")],
                        max_length=10,
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("missing_there", "Missing there"),
                            ("missing_here", "Missing here"),
                            ("amount", "Amount"),
                            ("date", "Date"),
                            ("duplicate_here", "Duplicate here"),
                            ("duplicate_there", "Duplicate there"),
                        ],
                        max_length=16,
                    ),
                ),
                ("reference", models.CharField(max_length=100)),
                ("asset", models.CharField(max_length=16)),
                ("ours", magnetfund.core.fields.ExactField()),
                ("theirs", magnetfund.core.fields.ExactField()),
                ("day", models.DateField(help_text="Of the older line; the age counts from it.")),
                ("text", models.CharField(blank=True, max_length=300)),
                ("is_blocking", models.BooleanField(default=True)),
                ("found_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("found_by", models.CharField(max_length=120)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("explained", "Explained"),
                            ("adjusted", "Adjusted"),
                            ("accepted", "Accepted"),
                        ],
                        default="open",
                        max_length=10,
                    ),
                ),
                ("cause", models.CharField(blank=True, max_length=300)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("resolution", models.CharField(blank=True, max_length=300)),
                (
                    "closed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "entry",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="investors.entry",
                    ),
                ),
                (
                    "explained_by",
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
                        related_name="breaks",
                        to="investors.fund",
                    ),
                ),
                (
                    "line",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="found_break",
                        to="investors.statementline",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["day", "found_at"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("closed_at", None)),
                        fields=("fund", "source", "asset", "reference"),
                        name="investors_bookbreak_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("ours__gt", Decimal("-1E+20")), ("ours__lt", Decimal("1E+20"))
                            ),
                            ("ours__isnull", True),
                            _connector="OR",
                        ),
                        name="investors_bookbreak_ours_finite",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("theirs__gt", Decimal("-1E+20")), ("theirs__lt", Decimal("1E+20"))
                            ),
                            ("theirs__isnull", True),
                            _connector="OR",
                        ),
                        name="investors_bookbreak_theirs_finite",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("closed_by", None),
                            models.Q(("closed_by", models.F("explained_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="investors_bookbreak_four_eyes",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("closed_at", None),
                                ("closed_by", None),
                                ("state__in", ["open", "explained"]),
                            ),
                            models.Q(
                                ("closed_at__isnull", False),
                                ("closed_by__isnull", False),
                                ("explained_by__isnull", False),
                                ("state__in", ["adjusted", "accepted"]),
                            ),
                            _connector="OR",
                        ),
                        name="investors_bookbreak_closed",
                    ),
                ],
            },
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
