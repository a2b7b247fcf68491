import django.db.models.deletion
from django.db import migrations, models

import magnetfund.kernel.clock

WALLS = """
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "trading_optionsnapshot"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "trading_optionsnapshot"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "trading_optionsnapshot" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "trading_optionsnapshot" ENABLE ALWAYS TRIGGER append_only_truncate;
REVOKE ALL ON "trading_optionsnapshot" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "trading_optionsnapshot" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "trading_optionsnapshot" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "trading_optionlisting"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "trading_optionlisting"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "trading_optionlisting" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "trading_optionlisting" ENABLE ALWAYS TRIGGER append_only_truncate;
REVOKE ALL ON "trading_optionlisting" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "trading_optionlisting" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "trading_optionlisting" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0022_candle_files"),
    ]

    operations = [
        migrations.CreateModel(
            name="OptionSnapshot",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("stated_at", models.DateTimeField()),
                ("known_at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("source", models.CharField(max_length=200)),
                ("sha256", models.CharField(max_length=64)),
                ("spot", models.FloatField()),
                ("multiplier", models.FloatField(help_text="Units of the asset in one contract.")),
                ("settled_in_coin", models.BooleanField(default=False)),
                ("options", models.PositiveIntegerField()),
                ("refused", models.PositiveIntegerField()),
                ("gamma", models.FloatField(help_text="Quote currency per 1 % move of the spot.")),
                ("flip", models.FloatField(null=True)),
                (
                    "middle_volatility",
                    models.FloatField(
                        help_text="At the money, of the expiry nearest to 30 days; annual fraction.",
                        null=True,
                    ),
                ),
                (
                    "premiums",
                    models.JSONField(
                        default=dict,
                        help_text="Money paid for options since the day began, by bucket of delta.",
                    ),
                ),
                (
                    "unusual",
                    models.JSONField(default=list, help_text="Options traded far more than usual."),
                ),
                ("call_wall", models.FloatField(null=True)),
                ("call_wall_until", models.DateTimeField(null=True)),
                ("put_wall", models.FloatField(null=True)),
                ("put_wall_until", models.DateTimeField(null=True)),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="option_snapshots",
                        to="trading.instrument",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="OptionListing",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=4)),
                ("strike", models.FloatField()),
                ("expires_at", models.DateTimeField()),
                ("interest", models.FloatField(help_text="Contracts open.")),
                ("bid", models.FloatField(null=True)),
                ("ask", models.FloatField(null=True)),
                ("mark", models.FloatField(null=True)),
                (
                    "volatility",
                    models.FloatField(
                        help_text="Annual fraction, as the venue states it.", null=True
                    ),
                ),
                ("forward", models.FloatField(null=True)),
                ("volume", models.FloatField(null=True)),
                ("ask_volume", models.FloatField(null=True)),
                (
                    "snapshot",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="listings",
                        to="trading.optionsnapshot",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="optionsnapshot",
            index=models.Index(
                fields=["instrument", "known_at"], name="trading_optionsnapshot_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="optionsnapshot",
            constraint=models.UniqueConstraint(
                fields=("instrument", "stated_at"), name="trading_optionsnapshot_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="optionsnapshot",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("known_at__gte", models.F("stated_at")),
                    ("recorded_at__gte", models.F("known_at")),
                ),
                name="trading_optionsnapshot_times",
            ),
        ),
        migrations.AddConstraint(
            model_name="optionsnapshot",
            constraint=models.CheckConstraint(
                condition=models.Q(("spot__gt", 0), ("multiplier__gt", 0), ("options__gt", 0)),
                name="trading_optionsnapshot_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="optionsnapshot",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("call_wall", None), ("call_wall_until", None)),
                    models.Q(
                        ("call_wall__gt", models.F("spot")), ("call_wall_until__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="trading_optionsnapshot_call_wall",
            ),
        ),
        migrations.AddConstraint(
            model_name="optionsnapshot",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("put_wall", None), ("put_wall_until", None)),
                    models.Q(("put_wall__lt", models.F("spot")), ("put_wall_until__isnull", False)),
                    _connector="OR",
                ),
                name="trading_optionsnapshot_put_wall",
            ),
        ),
        migrations.AddConstraint(
            model_name="optionlisting",
            constraint=models.UniqueConstraint(
                fields=("snapshot", "expires_at", "strike", "kind"),
                name="trading_optionlisting_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="optionlisting",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind__in", ["call", "put"]), ("strike__gt", 0), ("interest__gte", 0)
                ),
                name="trading_optionlisting_sane",
            ),
        ),
        migrations.RunSQL(WALLS, migrations.RunSQL.noop),
    ]
