"""No background job proposes, decides or moves a side pocket."""

from django.db import migrations

TABLES = ("investors_sidepocket", "investors_pocketentry")
WALL = "".join(
    f"""
CREATE TRIGGER not_by_worker BEFORE INSERT OR UPDATE OR DELETE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION wall_not_by_worker();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER not_by_worker;
"""
    for table in TABLES
)


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0012_powers_by_people"),
        ("investors", "0052_side_pockets"),
    ]
    operations = [
        migrations.RunSQL(
            WALL, "".join(f"DROP TRIGGER not_by_worker ON {table};" for table in TABLES)
        )
    ]
