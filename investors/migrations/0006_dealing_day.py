"""Orders of everything, orders set aside, hurdle periods; a period that a NAV closed stays closed."""

from django.db import migrations, models
from django.db.models import Q

PERIODS = """
-- Recorded time is the database's.  A dealt NAV closes everything before its instant: what is found
-- later counts in the open period, or in a restatement, and never changes a published price.
CREATE FUNCTION investors_ledger_period() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  new.recorded_at := clock_timestamp();
  IF EXISTS (SELECT 1 FROM investors_navstrike s WHERE s.fund_id = new.fund_id
      AND s.state = 'dealt' AND s.valuation_at > new.effective_at) THEN
    RAISE EXCEPTION 'ledger: the period before the last NAV is closed'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER ledger_period BEFORE INSERT ON investors_entry
  FOR EACH ROW EXECUTE FUNCTION investors_ledger_period();
ALTER TABLE investors_entry ENABLE ALWAYS TRIGGER ledger_period;
"""
GRANTS = """
GRANT UPDATE ("funded_at", "rolls") ON "investors_dealingorder" TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0005_rounding")]
    operations = [
        migrations.AddField("dealingorder", "is_all", models.BooleanField(
            default=False,
            help_text="A redemption of whatever the lots are when it is dealt.",
        )),
        migrations.AddField("dealingorder", "first_day", models.DateField(
            null=True, blank=True,
            help_text="The dealing day on which the order first queued.",
        )),
        migrations.AddField(
            "dealingorder", "funded_at", models.DateTimeField(null=True, blank=True)
        ),
        migrations.AddField(
            "dealingorder", "rolls", models.PositiveSmallIntegerField(default=0)
        ),
        migrations.RunSQL(
            "UPDATE investors_dealingorder SET funded_at = updated_at WHERE state = 'funded'",
            migrations.RunSQL.noop,
        ),
        migrations.AlterField("dealingorder", "state", models.CharField(
            choices=[
                ("submitted", "Submitted"),
                ("accepted", "Accepted"),
                ("funded", "Funds cleared"),
                ("allotted", "Units issued"),
                ("deferred", "Deferred to the next dealing day"),
                ("payable", "Payment due"),
                ("settled", "Settled"),
                ("set_aside", "Set aside"),
                ("cancelled", "Cancelled"),
                ("rejected", "Rejected"),
                ("refunded", "Refunded"),
            ],
            default="submitted", max_length=10,
        )),
        migrations.RemoveConstraint("dealingorder", "investors_dealingorder_measured"),
        migrations.AddConstraint("dealingorder", models.CheckConstraint(
            condition=Q(kind="subscription", amount__isnull=False)
            | Q(kind="redemption", units__isnull=False, is_all=False)
            | Q(kind="redemption", units__isnull=True, is_all=True),
            name="investors_dealingorder_measured",
        )),
        migrations.AlterField("unitentry", "kind", models.CharField(
            choices=[
                ("issue", "Subscription"),
                ("redeem", "Redeem"),
                ("fee_cancel", "Performance fee, units cancelled"),
                ("transfer_out", "Transfer Out"),
                ("transfer_in", "Transfer In"),
                ("side_pocket_out", "Side Pocket Out"),
                ("side_pocket_in", "Side Pocket In"),
                ("merge", "Side pocket merged back"),
                ("compensation", "Compensation"),
                ("clock", "Hurdle period begins"),
            ],
            max_length=16,
        )),
        migrations.RemoveConstraint("unitentry", "investors_unitentry_not_zero"),
        migrations.AddConstraint("unitentry", models.CheckConstraint(
            condition=Q(kind="clock", units=0) | (~Q(kind="clock") & ~Q(units=0)),
            name="investors_unitentry_not_zero",
        )),
        migrations.RunSQL(PERIODS, "DROP FUNCTION investors_ledger_period() CASCADE;"),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]  # fmt: skip
