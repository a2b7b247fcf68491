"""No background job writes a proposed dealing."""

from django.db import migrations

WALL = """
CREATE TRIGGER not_by_worker BEFORE INSERT OR UPDATE OR DELETE ON investors_dealingproposal
  FOR EACH STATEMENT EXECUTE FUNCTION wall_not_by_worker();
ALTER TABLE investors_dealingproposal ENABLE ALWAYS TRIGGER not_by_worker;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0003_under_lease"),
        ("investors", "0017_dealing_proposals"),
    ]
    operations = [
        migrations.RunSQL(WALL, "DROP TRIGGER not_by_worker ON investors_dealingproposal;")
    ]
