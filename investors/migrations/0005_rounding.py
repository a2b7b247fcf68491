"""A class without units has no price; accounts for money that no unit prices."""

from django.db import migrations

import magnetfund.core.fields


class Migration(migrations.Migration):
    dependencies = [("investors", "0004_words")]
    operations = [
        migrations.RunSQL(
            """INSERT INTO investors_account (code, name, kind) VALUES
               ('2015', 'Unmatched receipts, due to their senders', 'liability'),
               ('2340', 'Unallocated money of a fund without units', 'liability')
               ON CONFLICT DO NOTHING""",
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            model_name="classnav",
            name="nav_per_unit",
            field=magnetfund.core.fields.ExactField(
                help_text="NAV after every accrued fee divided by units, to six decimals.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="classnav",
            name="price",
            field=magnetfund.core.fields.ExactField(
                help_text="None while the class has no units.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="classnav",
            name="price_unrounded",
            field=magnetfund.core.fields.ExactField(null=True),
        ),
    ]
