"""Minutes of a streamed book are removed by the trader, who writes them."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("trading", "0024_depth_minutes")]
    operations = [
        migrations.RunSQL(
            "REVOKE DELETE ON trading_depthminute FROM fa_app;",
            "GRANT DELETE ON trading_depthminute TO fa_app;",
        )
    ]
