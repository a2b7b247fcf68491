"""Suspensions and changes of roles have the server's time of their decision."""

from django.db import migrations

WALLS = r"""
-- Arguments: the columns of who decided and when.  Of a row without a fund no story has a clock.
CREATE FUNCTION authority_time_of_decision() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  was jsonb := CASE WHEN tg_op = 'UPDATE' THEN to_jsonb(old) ELSE '{}' END;
  now_is jsonb := to_jsonb(new);
BEGIN
  IF coalesce(now_is ->> tg_argv[0], now_is ->> tg_argv[1]) IS NULL
     OR (now_is ->> tg_argv[0], now_is ->> tg_argv[1])
       IS NOT DISTINCT FROM (was ->> tg_argv[0], was ->> tg_argv[1]) THEN
    RETURN new;
  END IF;
  RETURN jsonb_populate_record(new, jsonb_build_object(tg_argv[1], wall_time(
    coalesce((SELECT f.book FROM investors_fund f WHERE f.id::text = now_is ->> 'fund_id'), ''),
    (now_is ->> tg_argv[1])::timestamptz)));
END $$;
REVOKE ALL ON FUNCTION authority_time_of_decision FROM PUBLIC;

CREATE TRIGGER decided_now BEFORE INSERT OR UPDATE ON investors_suspensionproposal
  FOR EACH ROW EXECUTE FUNCTION authority_time_of_decision('decided_by_id', 'decided_at');
ALTER TABLE investors_suspensionproposal ENABLE ALWAYS TRIGGER decided_now;
CREATE TRIGGER decided_now BEFORE INSERT OR UPDATE ON core_roleproposal
  FOR EACH ROW EXECUTE FUNCTION authority_time_of_decision('decided_by_id', 'decided_at');
ALTER TABLE core_roleproposal ENABLE ALWAYS TRIGGER decided_now;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0016_audit_by_number"),
        ("investors", "0046_sleeves_of_the_traded_book"),
    ]
    operations = [migrations.RunSQL(WALLS, "DROP FUNCTION authority_time_of_decision() CASCADE")]
