"""No background job proposes a term of par or decides on one."""

from django.db import migrations

WALL = """
CREATE TRIGGER not_by_worker BEFORE INSERT OR UPDATE OR DELETE ON investors_parterm
  FOR EACH STATEMENT EXECUTE FUNCTION wall_not_by_worker();
ALTER TABLE investors_parterm ENABLE ALWAYS TRIGGER not_by_worker;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0013_side_pockets"),
        ("investors", "0053_values_of_stablecoins"),
    ]
    operations = [migrations.RunSQL(WALL, "DROP TRIGGER not_by_worker ON investors_parterm;")]
