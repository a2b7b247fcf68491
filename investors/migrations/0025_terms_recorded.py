"""The time at which terms were recorded is the database's; their effect has a time of its own."""

from django.db import migrations, models
from django.db.models.functions import Now

TERMS = """
-- Until now the column held the effect; the audit line of each version has the time of its record.
ALTER TABLE investors_classpolicyversion DISABLE TRIGGER append_only_row;
UPDATE investors_classpolicyversion p SET recorded_at = a.recorded_at FROM core_auditevent a
  WHERE a.action = 'class.terms' AND a.subject_id = p.share_class_id::text
    AND (a.body ->> 'version')::int = p.version;
ALTER TABLE investors_classpolicyversion ENABLE ALWAYS TRIGGER append_only_row;

CREATE FUNCTION investors_terms_recorded() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  new.recorded_at := clock_timestamp();
  RETURN new;
END $$;
CREATE TRIGGER terms_recorded BEFORE INSERT ON investors_classpolicyversion
  FOR EACH ROW EXECUTE FUNCTION investors_terms_recorded();
ALTER TABLE investors_classpolicyversion ENABLE ALWAYS TRIGGER terms_recorded;
"""

REVERSE = """
DROP TRIGGER terms_recorded ON investors_classpolicyversion;
DROP FUNCTION investors_terms_recorded();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0024_signed_accounts"),
        ("core", "0012_names_in_the_plural"),
    ]

    operations = [
        migrations.AlterField(
            model_name="classpolicyversion",
            name="recorded_at",
            field=models.DateTimeField(db_default=Now(), editable=False),
        ),
        migrations.RunSQL(TERMS, REVERSE),
    ]
