"""What a NAV that is struck late took is no fault of an exchange that was booked before it."""

from django.db import migrations

BEFORE = """    SELECT (c ->> 'applied')::numeric INTO rate FROM jsonb_array_elements((SELECT s.inputs -> 'coins'
        FROM investors_navstrike s WHERE s.fund_id = e.fund_id AND s.valuation_at <= e.effective_at
          AND s.state IN ('approved', 'dealt')
        ORDER BY s.valuation_at DESC, s.version DESC LIMIT 1)) c
      WHERE c ->> 'coin' = (SELECT max(p.instrument) FROM investors_posting p
        WHERE p.entry_id = e.id AND p.account_id = '1030');
    IF coalesce(abs(coins - paid / rate) > 0.00000001, true) THEN
"""
AFTER = """    IF NOT EXISTS (SELECT 1 FROM investors_navstrike s,
          jsonb_array_elements(coalesce(s.inputs -> 'coins', '[]')) c
        WHERE s.fund_id = e.fund_id AND s.valuation_at <= e.effective_at
          AND s.state IN ('approved', 'dealt', 'superseded')
          AND c ->> 'coin' = (SELECT max(p.instrument) FROM investors_posting p
            WHERE p.entry_id = e.id AND p.account_id = '1030')
          AND abs(coins - paid / (c ->> 'applied')::numeric) <= 0.00000001) THEN
"""


def _changed(before: str, after: str) -> str:
    return f"""
DO $change$
DECLARE said text := pg_get_functiondef('investors_coin_fault(investors_entry)'::regprocedure);
BEGIN
  IF position($part${before}$part$ IN said) = 0 THEN
    RAISE EXCEPTION 'investors_coin_fault is another than this migration changes';
  END IF;
  EXECUTE replace(said, $part${before}$part$, $part${after}$part$);
END $change$;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0054_deaths_and_estates")]
    operations = [migrations.RunSQL(_changed(BEFORE, AFTER), _changed(AFTER, BEFORE))]
