"""No background job gives a permission of the admin, nor makes a strategy."""

from django.db import migrations

TABLES = (
    "auth_group",
    "auth_group_permissions",
    "core_user_groups",
    "core_user_user_permissions",
    "trading_strategy",
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
        ("operations", "0007_backups_by_their_role"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("core", "0015_signed_refusals"),
        ("trading", "0028_terms_that_tighten"),
    ]
    operations = [migrations.RunSQL(WALLS, BACK)]
