"""A trader's heartbeat is the trader's: nobody else keeps the watchdog quiet."""

from django.db import migrations

WALL = """
CREATE TRIGGER by_trader BEFORE INSERT OR UPDATE ON core_heartbeat
  FOR EACH ROW WHEN (new.part = 'trader') EXECUTE FUNCTION wall_by_trader();
ALTER TABLE core_heartbeat ENABLE ALWAYS TRIGGER by_trader;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0013_signed_removals"),
        ("risk", "0010_written_by_the_trader"),
    ]
    operations = [migrations.RunSQL(WALL, "DROP TRIGGER by_trader ON core_heartbeat;")]
