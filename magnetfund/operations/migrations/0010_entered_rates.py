"""No background job enters a rate by hand or decides on one."""

from django.db import migrations

WALL = """
CREATE TRIGGER not_by_worker BEFORE INSERT OR UPDATE OR DELETE ON investors_rateproposal
  FOR EACH STATEMENT EXECUTE FUNCTION wall_not_by_worker();
ALTER TABLE investors_rateproposal ENABLE ALWAYS TRIGGER not_by_worker;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0009_agreed_rebates"),
        ("investors", "0049_rates_of_stablecoins"),
    ]
    operations = [migrations.RunSQL(WALL, "DROP TRIGGER not_by_worker ON investors_rateproposal;")]
