"""Background jobs give nobody a power of attorney."""

from django.db import migrations

WALL = """
CREATE TRIGGER not_by_worker BEFORE INSERT OR UPDATE OR DELETE ON investors_powerofattorney
  FOR EACH STATEMENT EXECUTE FUNCTION wall_not_by_worker();
ALTER TABLE investors_powerofattorney ENABLE ALWAYS TRIGGER not_by_worker;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0011_access_of_advisers"),
        ("investors", "0051_powers_of_attorney"),
    ]
    operations = [
        migrations.RunSQL(WALL, "DROP TRIGGER not_by_worker ON investors_powerofattorney;")
    ]
