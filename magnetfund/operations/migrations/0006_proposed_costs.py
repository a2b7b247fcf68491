"""No background job writes a running cost, a distribution or a restatement."""

from django.db import migrations

TABLES = (
    "investors_distribution",
    "investors_expense",
    "investors_expensechange",
    "investors_restatement",
)

WALLS = "".join(
    f"""
CREATE TRIGGER not_by_worker BEFORE INSERT OR UPDATE OR DELETE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION wall_not_by_worker();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER not_by_worker;
"""
    for table in TABLES
)
BACK = "".join(f"DROP TRIGGER not_by_worker ON {table};" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0005_copies_in_a_bucket"),
        ("investors", "0031_restatements"),
    ]
    operations = [migrations.RunSQL(WALLS, BACK)]
