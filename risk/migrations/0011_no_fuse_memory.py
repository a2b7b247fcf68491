"""The first version's memory of the fuse goes: nobody reads or writes it, the trader has its own."""

from django.db import migrations

#: What stood on the table besides its columns.
BACK = """
REVOKE ALL ON risk_fusememory FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON risk_fusememory TO fa_app, fa_gateway, fa_auditor;
CREATE TRIGGER under_lease BEFORE INSERT OR UPDATE OR DELETE ON risk_fusememory
  FOR EACH STATEMENT EXECUTE FUNCTION wall_lease();
ALTER TABLE risk_fusememory ENABLE ALWAYS TRIGGER under_lease;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("risk", "0010_written_by_the_trader"),
        # It puts a trigger on the table.
        ("operations", "0003_under_lease"),
    ]
    operations = [
        migrations.RunSQL(migrations.RunSQL.noop, BACK),
        migrations.DeleteModel(name="FuseMemory"),
    ]
