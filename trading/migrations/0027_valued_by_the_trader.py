"""A book's equity is valued by the trader alone: sizes, limits and the fuse rest on it."""

from django.db import migrations

WALL = """
CREATE TRIGGER by_trader BEFORE INSERT ON trading_valuation
  FOR EACH STATEMENT EXECUTE FUNCTION wall_by_trader();
ALTER TABLE trading_valuation ENABLE ALWAYS TRIGGER by_trader;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0026_terms_of_instruments"),
        ("risk", "0010_written_by_the_trader"),
    ]
    operations = [migrations.RunSQL(WALL, "DROP TRIGGER by_trader ON trading_valuation;")]
