"""The session that stops the fund asks whether the sign-in of a token still holds."""

from django.db import migrations

GRANTS = """
GRANT SELECT (id, user_id, revoked_at, password_mark) ON core_refreshfamily TO fa_stop;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0010_wants_mail")]

    operations = [migrations.RunSQL(GRANTS, migrations.RunSQL.noop)]
