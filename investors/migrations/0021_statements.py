"""Papers of a period: monthly statements with versions, and what a paper prints."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0020_units_of_orders"),
    ]

    operations = [
        migrations.AddField(
            model_name="paper",
            name="books_hash",
            field=models.CharField(
                blank=True,
                help_text="Of the figures; other books give another version.",
                max_length=64,
            ),
        ),
        migrations.AddField(
            model_name="paper",
            name="data",
            field=models.JSONField(default=dict, help_text="What the paper prints, as text."),
        ),
        migrations.AddField(
            model_name="paper",
            name="period",
            field=models.CharField(
                blank=True, help_text="Month of a statement, YYYY-MM.", max_length=7
            ),
        ),
        migrations.AddField(
            model_name="paper",
            name="version",
            field=models.PositiveSmallIntegerField(default=1),
        ),
        migrations.AlterField(
            model_name="paper",
            name="investor",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="papers",
                to="investors.investor",
            ),
        ),
        migrations.AlterField(
            model_name="paper",
            name="kind",
            field=models.CharField(
                choices=[("contract_note", "Contract note"), ("statement", "Monthly statement")],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="paper",
            name="order",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="papers",
                to="investors.dealingorder",
            ),
        ),
        migrations.AddIndex(
            model_name="paper",
            index=models.Index(fields=["investor", "-made_at"], name="investors_paper_vault"),
        ),
        migrations.AddConstraint(
            model_name="paper",
            constraint=models.UniqueConstraint(
                condition=models.Q(("period", ""), _negated=True),
                fields=("kind", "investor", "period", "version"),
                name="investors_paper_period_version",
            ),
        ),
    ]
