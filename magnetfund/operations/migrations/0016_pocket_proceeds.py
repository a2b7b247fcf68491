"""No background job changes what a side pocket is worth or pays."""

from django.db import migrations

WALL = """
CREATE TRIGGER not_by_worker BEFORE INSERT OR UPDATE OR DELETE ON investors_pocketchange
  FOR EACH STATEMENT EXECUTE FUNCTION wall_not_by_worker();
ALTER TABLE investors_pocketchange ENABLE ALWAYS TRIGGER not_by_worker;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0015_estates_by_people"),
        ("investors", "0056_pocket_proceeds"),
    ]
    operations = [migrations.RunSQL(WALL, "DROP TRIGGER not_by_worker ON investors_pocketchange;")]
