"""Papers of a NAV: register, trial balance and NAV pack are kept too."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0022_book_breaks"),
    ]

    operations = [
        migrations.AlterField(
            model_name="paper",
            name="kind",
            field=models.CharField(
                choices=[
                    ("contract_note", "Contract note"),
                    ("statement", "Monthly statement"),
                    ("register", "Unit register"),
                    ("trial_balance", "Trial balance"),
                    ("nav_pack", "NAV pack"),
                ],
                max_length=16,
            ),
        ),
    ]
