"""A new account of somebody who has one already is the same person's, whichever road makes it."""

from django.db import migrations

PERSON = r"""
-- Words of a name in one order, without case and signs: "Marlow, Ann" is "Ann Marlow".
CREATE FUNCTION core_plain_name(p_name text) RETURNS text
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce(string_agg(w, ' ' ORDER BY w), '')
    FROM regexp_split_to_table(lower(p_name), '[^[:alnum:]]+') w WHERE w <> ''
$$;

CREATE FUNCTION core_one_person() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE found_person uuid;
BEGIN
  IF core_plain_name(new.name) = '' OR EXISTS (
      SELECT 1 FROM risk_wallinstance i WHERE i.kind = 'test' OR (i.kind IN ('demo', 'scratch')
        AND EXISTS (SELECT 1 FROM risk_scenarioclock c WHERE c.closed_at IS NULL))) THEN
    RETURN new;
  END IF;
  SELECT u.person INTO found_person FROM core_user u
    WHERE core_plain_name(u.name) = core_plain_name(new.name) ORDER BY u.date_joined LIMIT 1;
  IF FOUND THEN
    new.person := found_person;
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER one_person BEFORE INSERT ON core_user
  FOR EACH ROW EXECUTE FUNCTION core_one_person();
ALTER TABLE core_user ENABLE ALWAYS TRIGGER one_person;
REVOKE ALL ON FUNCTION core_plain_name, core_one_person FROM PUBLIC;
"""
BACK = """
DROP FUNCTION core_one_person() CASCADE;
DROP FUNCTION core_plain_name;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("risk", "0008_names_in_the_plural"),
        ("core", "0012_names_in_the_plural"),
    ]
    operations = [migrations.RunSQL(PERSON, BACK)]
