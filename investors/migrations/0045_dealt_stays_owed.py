"""What was dealt of an order stays owed when its rest is taken back or set aside."""

from django.db import migrations

#: Their money stood in the ledger, and on no list of what is to be paid.
FOUND_AGAIN = """
UPDATE investors_dealingorder SET state = 'payable'
  WHERE state IN ('cancelled', 'set_aside') AND kind = 'redemption' AND dealt_amount > paid_amount;
SET CONSTRAINTS ALL IMMEDIATE;
"""

WALL = """
DROP TRIGGER owed_until_paid ON investors_dealingorder;
CREATE TRIGGER owed_until_paid BEFORE UPDATE ON investors_dealingorder
  FOR EACH ROW WHEN ((old.state = 'payable' AND new.state <> 'payable'
      AND NOT (new.state = 'settled' AND new.paid_amount = new.dealt_amount))
    OR (new.kind = 'redemption' AND new.state IN ('cancelled', 'set_aside')
      AND new.dealt_amount > new.paid_amount))
  EXECUTE FUNCTION investors_owed_until_paid();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER owed_until_paid;
"""

BEFORE = """
DROP TRIGGER owed_until_paid ON investors_dealingorder;
CREATE TRIGGER owed_until_paid BEFORE UPDATE ON investors_dealingorder
  FOR EACH ROW WHEN (old.state = 'payable' AND new.state <> 'payable'
    AND NOT (new.state = 'settled' AND new.paid_amount = new.dealt_amount))
  EXECUTE FUNCTION investors_owed_until_paid();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER owed_until_paid;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0044_dealt_as_moved_by_order")]
    operations = [migrations.RunSQL(FOUND_AGAIN + WALL, BEFORE)]
