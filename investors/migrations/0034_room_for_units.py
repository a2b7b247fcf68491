"""A strike writes every lot and holding anew: pages with room keep the new row beside the old one.

Where a row's new version finds room on its own page, none of its indexes is written.  Pages that
are full stay as they are until they are written again.
"""

from django.db import migrations

ROOM = """
ALTER TABLE investors_unitlot SET (fillfactor = 50);
ALTER TABLE investors_holding SET (fillfactor = 50);
"""
ROOM_BEFORE = """
ALTER TABLE investors_unitlot RESET (fillfactor);
ALTER TABLE investors_holding RESET (fillfactor);
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0033_dealt_figures")]

    operations = [migrations.RunSQL(ROOM, ROOM_BEFORE)]
