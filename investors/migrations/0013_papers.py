"""Papers given to investors, kept as they were made."""

import uuid

import django.db.models.deletion
from django.db import migrations, models

import magnetfund.kernel.clock

WALLS = """
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_paper"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_paper"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_paper" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_paper" ENABLE ALWAYS TRIGGER append_only_truncate;
REVOKE ALL ON "investors_paper" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_paper" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_paper" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0012_money_out"),
    ]

    operations = [
        migrations.CreateModel(
            name="Paper",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(choices=[("contract_note", "Contract note")], max_length=16),
                ),
                ("number", models.CharField(max_length=60, unique=True)),
                ("content", models.BinaryField()),
                ("sha256", models.CharField(max_length=64)),
                ("made_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                (
                    "investor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="papers",
                        to="investors.investor",
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="papers",
                        to="investors.dealingorder",
                    ),
                ),
                (
                    "strike",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="investors.navstrike",
                    ),
                ),
            ],
            options={
                "ordering": ["-made_at"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("kind", "order", "strike"), name="investors_paper_once"
                    )
                ],
            },
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
