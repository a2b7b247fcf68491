"""Applications with sealed answers and documents, signatures, and lists for screening."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

WALLS = """
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_agreementtext"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_agreementtext"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_agreementtext" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_agreementtext" ENABLE ALWAYS TRIGGER append_only_truncate;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_signature"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_signature"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_signature" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_signature" ENABLE ALWAYS TRIGGER append_only_truncate;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_screeninglist"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_screeninglist"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_screeninglist" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_screeninglist" ENABLE ALWAYS TRIGGER append_only_truncate;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_screeningname"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_screeningname"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_screeningname" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_screeningname" ENABLE ALWAYS TRIGGER append_only_truncate;
REVOKE ALL ON "investors_application" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_application" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_application" TO fa_app, fa_gateway;
GRANT UPDATE ("email", "state", "generation", "sealed_answers", "steps_done", "share_class_id", "amount", "investor_id", "email_proved_at", "saved_at", "submitted_at", "erased_at") ON "investors_application" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_document" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_document" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_document" TO fa_app, fa_gateway;
GRANT UPDATE ("name", "sealed_content", "removed_at") ON "investors_document" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_agreementtext" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_agreementtext" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_agreementtext" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_signature" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_signature" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_signature" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_screeninglist" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_screeninglist" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_screeninglist" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_screeningname" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_screeningname" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_screeningname" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0010_money_in"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AgreementText",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("code", models.CharField(max_length=20)),
                ("title", models.CharField(max_length=120)),
                ("text", models.TextField()),
                ("first_shown_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
            ],
        ),
        migrations.CreateModel(
            name="Application",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("person", "person"),
                            ("joint", "joint"),
                            ("company", "company"),
                            ("trust", "trust"),
                        ],
                        max_length=8,
                    ),
                ),
                ("email", models.EmailField(max_length=254)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("submitted", "Sent in"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="draft",
                        max_length=9,
                    ),
                ),
                (
                    "generation",
                    models.PositiveIntegerField(
                        default=1,
                        help_text="Number of the newest link; older links are no longer good.",
                    ),
                ),
                ("sealed_answers", models.BinaryField(default=b"")),
                ("steps_done", models.JSONField(blank=True, default=list)),
                ("amount", magnetfund.core.fields.ExactField(blank=True, null=True)),
                ("email_proved_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("saved_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("submitted_at", models.DateTimeField(blank=True, null=True)),
                ("erased_at", models.DateTimeField(blank=True, null=True)),
                (
                    "investor",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="application",
                        to="investors.investor",
                    ),
                ),
                (
                    "share_class",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="investors.shareclass",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Document",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "item",
                    models.CharField(
                        help_text="The item of the checklist that it is for.", max_length=20
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("media_type", models.CharField(max_length=20)),
                ("size", models.PositiveIntegerField()),
                ("digest", models.CharField(max_length=64)),
                ("sealed_content", models.BinaryField()),
                ("uploaded_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("removed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="documents",
                        to="investors.application",
                    ),
                ),
            ],
            options={
                "ordering": ["uploaded_at"],
            },
        ),
        migrations.CreateModel(
            name="ScreeningList",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=60)),
                ("kind", models.CharField(max_length=9)),
                ("version", models.CharField(max_length=80)),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("names_count", models.PositiveIntegerField()),
                ("imported_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                (
                    "imported_by",
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
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="ScreeningName",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("entry", models.CharField(max_length=60)),
                ("name", models.CharField(max_length=300)),
                ("note", models.CharField(blank=True, max_length=120)),
                (
                    "screening_list",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="names",
                        to="investors.screeninglist",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Signature",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sealed_name", models.BinaryField()),
                ("content_hash", models.CharField(max_length=64)),
                ("signed_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                (
                    "agreement",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="investors.agreementtext",
                    ),
                ),
                (
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="signatures",
                        to="investors.application",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="application",
            index=models.Index(fields=["email"], name="investors_application_email"),
        ),
        migrations.AddConstraint(
            model_name="signature",
            constraint=models.UniqueConstraint(
                fields=("application", "agreement"), name="investors_signature_once"
            ),
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
