"""A signed rate counts once, and an order under a power of attorney is of now."""

from django.db import migrations, models

BEFORE = """  IF NOT EXISTS (SELECT 1 FROM investors_powerofattorney p
"""
AFTER = """  IF new.received_at NOT BETWEEN clock_timestamp() - interval '15 minutes'
        AND clock_timestamp() + interval '1 minute'
      AND NOT EXISTS (SELECT 1 FROM risk_wallinstance i WHERE i.kind IN ('test', 'scratch')) THEN
    RAISE EXCEPTION 'orders: one under a power of attorney is of now'
      USING ERRCODE = 'check_violation';
  END IF;
  IF NOT EXISTS (SELECT 1 FROM investors_powerofattorney p
"""


def _changed(before: str, after: str) -> str:
    return f"""
DO $change$
DECLARE said text := pg_get_functiondef('investors_order_of_attorney()'::regprocedure);
BEGIN
  IF position($part${before}$part$ IN said) = 0 THEN
    RAISE EXCEPTION 'investors_order_of_attorney is another than this migration changes';
  END IF;
  EXECUTE replace(said, $part${before}$part$, $part${after}$part$);
END $change$;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0057_account_of_a_holder")]
    operations = [
        migrations.AddConstraint(
            model_name="coinrate",
            constraint=models.UniqueConstraint(
                condition=models.Q(("proposal__isnull", False)),
                fields=("proposal", "observed_at"),
                name="investors_coinrate_signed_once",
            ),
        ),
        migrations.RunSQL(_changed(BEFORE, AFTER), _changed(AFTER, BEFORE)),
    ]
