"""Limits, terms and requests to arm that were withdrawn never come back."""

from django.db import migrations

WALL = r"""
-- Its argument names the column that says what became of the row. Without it whoever holds the web's
-- role could revive what two people had signed and then withdrawn, and put it in force.
CREATE FUNCTION wall_withdrawn_for_good() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  before text := to_jsonb(old) ->> tg_argv[0];
  after text := to_jsonb(new) ->> tg_argv[0];
BEGIN
  IF (before IS NOT NULL OR old.withdrawn_at IS NOT NULL)
     AND (before IS DISTINCT FROM after OR new.withdrawn_at IS DISTINCT FROM old.withdrawn_at) THEN
    RAISE EXCEPTION '%: what was decided or withdrawn stays so', tg_table_name
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER withdrawn_for_good BEFORE UPDATE ON risk_fusereset
  FOR EACH ROW EXECUTE FUNCTION wall_withdrawn_for_good('approved_at');
ALTER TABLE risk_fusereset ENABLE ALWAYS TRIGGER withdrawn_for_good;
CREATE TRIGGER withdrawn_for_good BEFORE UPDATE ON risk_limitproposal
  FOR EACH ROW EXECUTE FUNCTION wall_withdrawn_for_good('limit_set_id');
ALTER TABLE risk_limitproposal ENABLE ALWAYS TRIGGER withdrawn_for_good;
CREATE TRIGGER withdrawn_for_good BEFORE UPDATE ON investors_termsproposal
  FOR EACH ROW EXECUTE FUNCTION wall_withdrawn_for_good('policy_id');
ALTER TABLE investors_termsproposal ENABLE ALWAYS TRIGGER withdrawn_for_good;
"""
BACK = "DROP FUNCTION wall_withdrawn_for_good() CASCADE;"


class Migration(migrations.Migration):
    dependencies = [("investors", "0040_signed_sleeves")]
    operations = [migrations.RunSQL(WALL, BACK)]
