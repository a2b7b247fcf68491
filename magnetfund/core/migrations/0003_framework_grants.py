"""Grants on the tables of Django and of the libraries: working state, readable and writable.

Taken from the catalogue, so that a library's new table needs one more such migration and nothing
else; a test names every table without a grant.
"""

from django.db import migrations

SQL = """
DO $$
DECLARE t text;
BEGIN
  FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND (
      tablename ~ '^(auth|django|account|mfa|usersessions|socialaccount)_') LOOP
    EXECUTE format('REVOKE ALL ON %I FROM PUBLIC, fa_app, fa_gateway, fa_auditor', t);
    EXECUTE format('GRANT SELECT ON %I TO fa_app, fa_gateway', t);
    IF t NOT IN ('django_migrations', 'django_content_type', 'auth_permission') THEN
      EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %I TO fa_app, fa_gateway', t);
    END IF;
  END LOOP;
END $$;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0002_walls"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("sessions", "0001_initial"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("account", "0009_emailaddress_unique_primary_email"),
        ("mfa", "0003_authenticator_type_uniq"),
        ("usersessions", "0001_initial"),
    ]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
