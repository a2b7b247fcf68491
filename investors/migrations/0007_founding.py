"""Time zone and holidays of a fund, and terms of a class that wait for a second signature."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.kernel.clock

WALLS = """
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_fundholiday"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_fundholiday"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_fundholiday" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_fundholiday" ENABLE ALWAYS TRIGGER append_only_truncate;
REVOKE ALL ON "investors_fundholiday" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_fundholiday" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_fundholiday" TO fa_app, fa_gateway;
REVOKE ALL ON "investors_termsproposal" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_termsproposal" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_termsproposal" TO fa_app, fa_gateway;
GRANT UPDATE ("policy_id", "withdrawn_at") ON "investors_termsproposal" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0006_dealing_day"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="fund",
            name="zone",
            field=models.CharField(
                default="UTC",
                help_text="IANA time zone of cut-offs and deadlines; NAVs are valued at 00:00 UTC.",
                max_length=40,
            ),
        ),
        migrations.CreateModel(
            name="FundHoliday",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                ("name", models.CharField(max_length=80)),
                (
                    "fund",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="holidays",
                        to="investors.fund",
                    ),
                ),
            ],
            options={
                "ordering": ["day"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("fund", "day"), name="investors_fundholiday_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TermsProposal",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("terms", models.JSONField()),
                ("content_hash", models.CharField(max_length=64)),
                ("reason", models.CharField(max_length=300)),
                ("effective_from", models.DateTimeField()),
                ("proposed_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                (
                    "policy",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="proposal",
                        to="investors.classpolicyversion",
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
                (
                    "share_class",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="proposals",
                        to="investors.shareclass",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("policy", None), ("withdrawn_at", None)),
                        fields=("share_class",),
                        name="investors_termsproposal_one_open",
                    )
                ],
            },
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
