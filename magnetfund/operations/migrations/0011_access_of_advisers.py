"""Background jobs let nobody read a holder's portal."""

from django.db import migrations

WALL = """
CREATE TRIGGER not_by_worker BEFORE INSERT OR UPDATE OR DELETE ON investors_adviseraccess
  FOR EACH STATEMENT EXECUTE FUNCTION wall_not_by_worker();
ALTER TABLE investors_adviseraccess ENABLE ALWAYS TRIGGER not_by_worker;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0010_entered_rates"),
        ("investors", "0050_advisers"),
    ]
    operations = [migrations.RunSQL(WALL, "DROP TRIGGER not_by_worker ON investors_adviseraccess;")]
