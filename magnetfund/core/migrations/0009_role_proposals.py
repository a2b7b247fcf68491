"""Roles that wait for a director."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.kernel.clock

WALLS = """
REVOKE ALL ON "core_roleproposal" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "core_roleproposal" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "core_roleproposal" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved") ON "core_roleproposal" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0008_signatures"),
    ]

    operations = [
        migrations.CreateModel(
            name="RoleProposal",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("email", models.EmailField(max_length=254)),
                ("name", models.CharField(max_length=200)),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("investor", "investor"),
                            ("operator", "operator"),
                            ("risk_officer", "risk_officer"),
                            ("accountant", "accountant"),
                            ("controller", "controller"),
                            ("compliance", "compliance"),
                            ("director", "director"),
                            ("coordinator", "coordinator"),
                            ("service", "service"),
                            ("auditor", "auditor"),
                            ("administrator", "administrator"),
                        ],
                        max_length=20,
                    ),
                ),
                ("is_grant", models.BooleanField(default=True)),
                ("reason", models.CharField(max_length=300)),
                ("proposed_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("is_approved", models.BooleanField(blank=True, null=True)),
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
                    "proposed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["proposed_at"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("decided_by", None),
                            models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="core_roleproposal_four_eyes",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("decided_at", None)),
                        fields=("email", "role"),
                        name="core_roleproposal_one_open",
                    ),
                ],
            },
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
