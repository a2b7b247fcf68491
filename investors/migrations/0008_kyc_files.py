"""KYC files: checklist, screenings, signatures and moves."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.kernel.clock

WALLS = """
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_kyccheck"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_kyccheck"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_kyccheck" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_kyccheck" ENABLE ALWAYS TRIGGER append_only_truncate;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_screening"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_screening"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_screening" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_screening" ENABLE ALWAYS TRIGGER append_only_truncate;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_kycmove"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_kycmove"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_kycmove" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_kycmove" ENABLE ALWAYS TRIGGER append_only_truncate;
REVOKE ALL ON "investors_kyccase" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_kyccase" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_kyccase" TO fa_app, fa_gateway;
GRANT UPDATE ("points", "risk", "is_politically_exposed", "rating_reason", "reviewed_by_id", "reviewed_at", "reviewed_hash", "seconded_by_id", "seconded_at", "approved_by_id", "approved_at", "review_due", "waiting_since") ON "investors_kyccase" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_kyccheck" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_kyccheck" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_kyccheck" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_screening" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_screening" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_screening" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_kycmove" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_kycmove" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_kycmove" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0007_founding"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="investor",
            name="kind",
            field=models.CharField(
                choices=[
                    ("person", "person"),
                    ("joint", "joint"),
                    ("company", "company"),
                    ("trust", "trust"),
                ],
                default="person",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="investor",
            name="kyc_state",
            field=models.CharField(
                choices=[
                    ("not_started", "Not Started"),
                    ("collecting", "Documents requested"),
                    ("submitted", "Submitted"),
                    ("screening", "Sanctions screening"),
                    ("review", "Under review"),
                    ("more_info", "More information requested"),
                    ("enhanced_review", "Enhanced review"),
                    ("senior_approval", "Waits for a director"),
                    ("approved", "Approved"),
                    ("due_for_refresh", "Periodic review due"),
                    ("declined", "Declined"),
                    ("restricted", "Restricted"),
                    ("exited", "Relationship ended"),
                ],
                default="not_started",
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="KycCheck",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("item", models.CharField(max_length=20)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("received", "Received"),
                            ("checked", "Checked"),
                            ("refused", "Not sufficient"),
                        ],
                        max_length=8,
                    ),
                ),
                ("evidence", models.CharField(blank=True, max_length=300)),
                ("noted_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                (
                    "investor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="kyc_checks",
                        to="investors.investor",
                    ),
                ),
                (
                    "noted_by",
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
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="KycCase",
            fields=[
                (
                    "investor",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="case",
                        serialize=False,
                        to="investors.investor",
                    ),
                ),
                ("points", models.JSONField(blank=True, default=dict)),
                (
                    "risk",
                    models.CharField(
                        blank=True,
                        choices=[("low", "low"), ("medium", "medium"), ("high", "high")],
                        max_length=6,
                    ),
                ),
                ("is_politically_exposed", models.BooleanField(default=False)),
                ("rating_reason", models.CharField(blank=True, max_length=500)),
                ("reviewed_at", models.DateTimeField(blank=True, null=True)),
                ("reviewed_hash", models.CharField(blank=True, max_length=64)),
                ("seconded_at", models.DateTimeField(blank=True, null=True)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("review_due", models.DateField(blank=True, db_index=True, null=True)),
                ("waiting_since", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                (
                    "approved_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "reviewed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "seconded_by",
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
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("approved_by", None),
                            models.Q(
                                ("reviewed_by__isnull", False),
                                models.Q(("approved_by", models.F("reviewed_by")), _negated=True),
                                models.Q(
                                    ("seconded_by", None),
                                    models.Q(
                                        ("approved_by", models.F("seconded_by")), _negated=True
                                    ),
                                    _connector="OR",
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="investors_kyccase_four_eyes",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("seconded_by", None),
                            models.Q(
                                ("reviewed_by__isnull", False),
                                models.Q(("seconded_by", models.F("reviewed_by")), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="investors_kyccase_second",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="KycMove",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("from_state", models.CharField(max_length=16)),
                ("to_state", models.CharField(max_length=16)),
                ("role", models.CharField(max_length=16)),
                ("actor_label", models.CharField(max_length=120)),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("content_hash", models.CharField(max_length=64)),
                ("moved_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                (
                    "actor",
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
                        related_name="kyc_moves",
                        to="investors.investor",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "indexes": [
                    models.Index(fields=["investor", "-id"], name="investors_kycmove_newest")
                ],
            },
        ),
        migrations.CreateModel(
            name="Screening",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("party", models.CharField(max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[("sanctions", "Sanctions"), ("office", "Public offices")],
                        max_length=9,
                    ),
                ),
                ("list_name", models.CharField(max_length=60)),
                ("list_version", models.CharField(max_length=80)),
                ("names_in_list", models.PositiveIntegerField(blank=True, null=True)),
                ("match", models.CharField(blank=True, max_length=300)),
                ("match_id", models.CharField(blank=True, max_length=80)),
                ("score", models.FloatField(blank=True, null=True)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("clear", "No match"),
                            ("possible", "Possible match"),
                            ("other_person", "Another person"),
                            ("same_person", "The same person"),
                        ],
                        max_length=12,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("screened_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                (
                    "decides",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to="investors.screening",
                    ),
                ),
                (
                    "investor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="screenings",
                        to="investors.investor",
                    ),
                ),
                (
                    "screened_by",
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
                "ordering": ["id"],
                "indexes": [
                    models.Index(fields=["investor", "-id"], name="investors_screening_newest")
                ],
            },
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
