"""What an instrument costs and may lose is stated by worker and trader, its gap by nobody later."""

from decimal import Decimal

from django.db import migrations, models

import magnetfund.core.fields

FLOOR = "UPDATE trading_instrument SET gap_floor = 0.25 WHERE gap_floor < 0.25;"
TERMS = """
REVOKE UPDATE (tick, lot, minimum_notional, maker_fee, taker_fee, maintenance_tiers,
  metadata_source, metadata_at, gap_floor) ON trading_instrument FROM fa_app, fa_gateway;
GRANT UPDATE (tick, lot, minimum_notional, maker_fee, taker_fee, maintenance_tiers,
  metadata_source, metadata_at) ON trading_instrument TO fa_worker, fa_gateway;
"""
TERMS_BACK = """
REVOKE UPDATE (tick, lot, minimum_notional, maker_fee, taker_fee, maintenance_tiers,
  metadata_source, metadata_at) ON trading_instrument FROM fa_worker;
GRANT UPDATE (tick, lot, minimum_notional, maker_fee, taker_fee, maintenance_tiers,
  metadata_source, metadata_at, gap_floor) ON trading_instrument TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [("trading", "0025_depth_by_the_trader")]
    operations = [
        migrations.RunSQL(FLOOR, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="instrument",
            name="gap_floor",
            field=magnetfund.core.fields.ExactField(default=Decimal("0.25")),
        ),
        migrations.AddConstraint(
            model_name="instrument",
            constraint=models.CheckConstraint(
                condition=models.Q(("gap_floor__gte", Decimal("0.25"))),
                name="trading_instrument_gap_floor_least",
            ),
        ),
        migrations.RunSQL(TERMS, TERMS_BACK),
    ]
