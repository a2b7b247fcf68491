"""Background jobs ask for no account of a holder and record no call-back."""

from django.db import migrations

WALL = """
CREATE TRIGGER not_by_worker BEFORE INSERT OR UPDATE OR DELETE ON investors_accountchange
  FOR EACH STATEMENT EXECUTE FUNCTION wall_not_by_worker();
ALTER TABLE investors_accountchange ENABLE ALWAYS TRIGGER not_by_worker;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0016_pocket_proceeds"),
        ("investors", "0059_asked_accounts"),
    ]
    operations = [migrations.RunSQL(WALL, "DROP TRIGGER not_by_worker ON investors_accountchange;")]
