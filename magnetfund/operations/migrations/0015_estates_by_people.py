"""Background jobs report no death and decide on no estate."""

from django.db import migrations

TABLES = ("investors_deathreport", "investors_estatestep")
WALL = "".join(
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
        ("operations", "0014_terms_of_par"),
        ("investors", "0054_deaths_and_estates"),
    ]
    operations = [migrations.RunSQL(WALL, BACK)]
