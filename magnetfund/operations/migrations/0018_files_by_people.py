"""Background jobs check nothing off in a file, close no break, and write no price, class or file."""

from django.db import migrations

TABLES = (
    "investors_agreementtext",
    "investors_bookbreak",
    "investors_classnav",
    "investors_fundholiday",
    "investors_kyccheck",
    "investors_lotnav",
    "investors_paymentfile",
    "investors_shareclass",
    "investors_signature",
    "investors_statementfile",
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
        ("operations", "0017_asked_accounts"),
        ("investors", "0064_reversed_receipts"),
    ]
    operations = [migrations.RunSQL(WALLS, BACK)]
