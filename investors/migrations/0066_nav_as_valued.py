"""Who signs a NAV signs what it was valued by: prices, rates of coins, costs and closed breaks.

PostgreSQL recomputes the positions from the fills, their price from the candle and their result from
both, and takes no rate of a coin but the newest; a flow into coins has its difference to par.
"""

from django.db import migrations

WORDS = r"""
-- What a NAV was valued by, as its signer holds it against the market, the invoices and the bank.
CREATE FUNCTION investors_say_valued(p_strike uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH s AS MATERIALIZED (SELECT x.fund_id, x.valuation_at, x.inputs, (
        SELECT p.valuation_at FROM investors_navstrike p WHERE p.fund_id = x.fund_id
          AND p.valuation_at < x.valuation_at AND p.state IN ('approved', 'dealt')
        ORDER BY p.valuation_at DESC LIMIT 1) AS before, (
        SELECT max(p.approved_at) FROM investors_navstrike p WHERE p.fund_id = x.fund_id
          AND p.id <> x.id AND p.valuation_at < x.valuation_at
          AND p.state IN ('approved', 'dealt', 'superseded')) AS signed_at
      FROM investors_navstrike x WHERE x.id = p_strike),
    held AS MATERIALIZED (SELECT 'Marked ' || wall_line(p ->> 'instrument') || ' of '
        || wall_line(p ->> 'strategy') || ': ' || (p ->> 'quantity') || ' at ' || (p ->> 'price')
        || ', result ' || (p ->> 'unrealised') AS said, (p ->> 'unrealised')::numeric AS result
      FROM s, jsonb_array_elements(coalesce(s.inputs -> 'positions', '[]')) p),
    coins AS (SELECT 'Coins: ' || (c ->> 'amount') || ' ' || wall_line(c ->> 'coin') || ' at '
        || coalesce(c ->> 'applied', '1') || ', rate ' || coalesce(c ->> 'rate', 'none') || ' of '
        || coalesce(wall_line(c ->> 'source'), 'nobody') || ' at '
        || coalesce(c ->> 'observed_at', '-') AS said
      FROM s, jsonb_array_elements(coalesce(s.inputs -> 'coins', '[]')) c),
    costs AS (SELECT p.account_id || ' ' || trim_scale(sum(p.amount)) || ' '
        || wall_line(p.currency) AS said
      FROM s JOIN investors_entry e ON e.fund_id = s.fund_id
        AND e.kind IN ('expense_accrued', 'invoice_difference')
        AND e.effective_at < s.valuation_at
        AND (s.before IS NULL OR e.effective_at >= s.before)
      JOIN investors_posting p ON p.entry_id = e.id AND p.account_id <> '2130'
      GROUP BY p.account_id, p.currency),
    ended AS MATERIALIZED (SELECT b.closed_at, b.id, abs(b.ours - b.theirs) AS size,
        'Closed ' || b.source || ' ' || b.kind || ' ' || wall_line(b.reference) || ': ours '
        || trim_scale(b.ours) || ', theirs ' || trim_scale(b.theirs) || ' ' || wall_line(b.asset)
        || ', by ' || wall_account(b.closed_by_id) || ': '
        || wall_line(coalesce(nullif(b.resolution, ''), b.cause)) AS said
      FROM s JOIN investors_bookbreak b ON b.fund_id = s.fund_id
        AND b.closed_at IS NOT NULL AND (s.signed_at IS NULL OR b.closed_at > s.signed_at))
  SELECT E'\n' || 'Positions: ' || (SELECT count(*) FROM held) || ', open result '
    || trim_scale((SELECT coalesce(sum(h.result), 0) FROM held h))
    || coalesce((SELECT string_agg(E'\n' || h.said, '' ORDER BY abs(h.result) DESC, h.said)
      FROM (SELECT * FROM held x ORDER BY abs(x.result) DESC, x.said LIMIT 40) h), '')
    || coalesce((SELECT string_agg(E'\n' || c.said, '' ORDER BY c.said) FROM coins c), '')
    || E'\n' || 'Costs since the last NAV: '
    || coalesce((SELECT string_agg(c.said, ', ' ORDER BY c.said) FROM costs c), 'none')
    || E'\n' || 'Breaks closed since it was signed: ' || (SELECT count(*) FROM ended)
    || coalesce((SELECT string_agg(E'\n' || b.said, '' ORDER BY b.size DESC, b.id)
      FROM (SELECT * FROM ended x ORDER BY x.size DESC, x.id LIMIT 40) b), '')
    || E'\n' || 'Valued by: ' || encode(sha256(convert_to(
      coalesce((SELECT string_agg(h.said, E'\n' ORDER BY h.said) FROM held h), '') || E'\n'
      || coalesce((SELECT string_agg(b.said, E'\n' ORDER BY b.id) FROM ended b), ''),
      'UTF8')), 'hex')
  FROM s
$$;
REVOKE ALL ON FUNCTION investors_say_valued FROM PUBLIC;
"""

WALLS = r"""
-- What is wrong with what a strike was valued by; null where nothing is.
CREATE FUNCTION investors_valued_fault(s investors_navstrike) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fund record; marked numeric; found text;
BEGIN
  SELECT f.book, f.currency INTO STRICT fund FROM investors_fund f WHERE f.id = s.fund_id;
  SELECT coalesce(min(o.symbol), min(t.symbol)) || ' ' || coalesce(min(o.strategy), min(t.strategy))
    INTO found FROM (
      SELECT i.id, i.symbol, f.strategy,
        sum(CASE f.side WHEN 'buy' THEN f.quantity ELSE -f.quantity END) AS quantity,
        sum(CASE f.side WHEN 'buy' THEN f.quantity ELSE -f.quantity END * f.price) AS paid,
        sum(f.realised) AS realised, i.tick
      FROM trading_fill f JOIN trading_instrument i ON i.id = f.instrument_id
      WHERE f.book = fund.book AND f.occurred_at < s.valuation_at
      GROUP BY i.id, i.symbol, i.tick, f.strategy
      HAVING sum(CASE f.side WHEN 'buy' THEN f.quantity ELSE -f.quantity END) <> 0) o
    FULL JOIN (SELECT p ->> 'instrument' AS symbol, p ->> 'strategy' AS strategy,
        (p ->> 'quantity')::numeric AS quantity, (p ->> 'price')::numeric AS price,
        (p ->> 'unrealised')::numeric AS unrealised
      FROM jsonb_array_elements(coalesce(s.inputs -> 'positions', '[]')) p) t
      ON t.symbol = o.symbol AND t.strategy = o.strategy AND t.quantity = o.quantity
    LEFT JOIN LATERAL (SELECT c.close::numeric AS price FROM trading_candle c
      WHERE c.instrument_id = o.id AND c.timeframe = '1h' AND c.known_at <= s.valuation_at
      ORDER BY c.open_time DESC, c.version DESC LIMIT 1) c ON true
    WHERE o.symbol IS NULL OR t.symbol IS NULL
      OR coalesce(abs(t.price - c.price) > o.tick / 2 + abs(c.price) * 0.000000001, true)
      OR abs(t.unrealised - (o.quantity * t.price - o.paid - o.realised))
        > 0.000001 + abs(o.paid) * 0.000000001;
  IF found IS NOT NULL THEN
    RETURN found || ' is not marked at the last price by its fills';
  END IF;
  SELECT coalesce(sum((p ->> 'unrealised')::numeric), 0) INTO marked
    FROM jsonb_array_elements(coalesce(s.inputs -> 'positions', '[]')) p;
  IF marked <> (SELECT coalesce(sum(p.amount), 0) FROM investors_posting p
      JOIN investors_entry e ON e.id = p.entry_id
      WHERE e.fund_id = s.fund_id AND p.account_id = '1120' AND p.currency = fund.currency
        AND e.effective_at < s.valuation_at) THEN
    RETURN 'the ledger marks its positions otherwise';
  END IF;
  IF EXISTS (SELECT 1 FROM jsonb_array_elements(coalesce(s.inputs -> 'coins', '[]')) c
      WHERE (c ->> 'rate_id')::bigint IS DISTINCT FROM (SELECT r.id FROM investors_coinrate r
        WHERE r.coin = c ->> 'coin' AND r.currency = fund.currency AND r.held = ''
          AND r.observed_at <= s.valuation_at
        ORDER BY r.observed_at DESC, r.id DESC LIMIT 1)) THEN
    RETURN 'a coin is not taken by the newest rate';
  END IF;
  RETURN NULL;
END $$;

-- As it commits that prepares a NAV.
CREATE FUNCTION investors_strike_valued() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fault text;
BEGIN
  IF wall_invents((SELECT f.book FROM investors_fund f WHERE f.id = new.fund_id)) THEN
    RETURN NULL;
  END IF;
  fault := investors_valued_fault(new);
  IF fault IS NOT NULL THEN
    RAISE EXCEPTION 'NAV: %', fault USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER strike_valued AFTER INSERT ON investors_navstrike
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION investors_strike_valued();
ALTER TABLE investors_navstrike ENABLE ALWAYS TRIGGER strike_valued;

-- Money that becomes coins off par has its difference beside it.
CREATE FUNCTION investors_flow_at_rate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE applied numeric; moved numeric;
BEGIN
  IF wall_invents((SELECT f.book FROM investors_fund f WHERE f.id = new.fund_id)) OR EXISTS (
      SELECT 1 FROM investors_posting p WHERE p.entry_id = new.id AND p.account_id = '1040') THEN
    RETURN NULL;
  END IF;
  SELECT (c ->> 'applied')::numeric INTO applied FROM jsonb_array_elements((
      SELECT coalesce(s.inputs -> 'coins', '[]') FROM investors_navstrike s
      WHERE s.fund_id = new.fund_id AND s.valuation_at <= new.effective_at
        AND s.state IN ('approved', 'dealt')
      ORDER BY s.valuation_at DESC, s.version DESC LIMIT 1)) c
    WHERE (c ->> 'is_of_flows')::boolean;
  SELECT coalesce(sum(abs(p.amount)), 0) INTO moved FROM investors_posting p
    WHERE p.entry_id = new.id AND p.account_id = '1030';
  IF abs(moved / applied - moved) > 0.00000001 THEN
    RAISE EXCEPTION 'ledger: venue_funded is at par, its NAV took %', applied
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER flow_at_rate AFTER INSERT ON investors_entry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.kind = 'venue_funded')
  EXECUTE FUNCTION investors_flow_at_rate();
ALTER TABLE investors_entry ENABLE ALWAYS TRIGGER flow_at_rate;
REVOKE ALL ON FUNCTION investors_valued_fault, investors_strike_valued, investors_flow_at_rate
  FROM PUBLIC;
"""
BACK = """
DROP FUNCTION investors_strike_valued() CASCADE;
DROP FUNCTION investors_flow_at_rate() CASCADE;
DROP FUNCTION investors_valued_fault;
"""

CONTENT = "investors_content(text, uuid)"
PLAIN = "|| investors_say_receipts(p_subject)"
WHOLE = "|| investors_say_valued(p_subject) || investors_say_receipts(p_subject)"


def _put(function: str, old: str, new: str) -> str:
    """Put one text in the place of another in a function as it stands, whichever migration wrote
    it last; a function that has it not once is not the one that this was written for."""
    return f"""
DO $put$
DECLARE was text := pg_get_functiondef('{function}'::regprocedure); old text := $old${old}$old$;
BEGIN
  IF (length(was) - length(replace(was, old, ''))) <> length(old) THEN
    RAISE EXCEPTION '{function} does not have once: %', old;
  END IF;
  EXECUTE replace(was, old, $new${new}$new$);
END $put$;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0065_files_and_holds")]
    operations = [
        migrations.RunSQL(WORDS, "DROP FUNCTION investors_say_valued;"),
        migrations.RunSQL(_put(CONTENT, PLAIN, WHOLE), _put(CONTENT, WHOLE, PLAIN)),
        migrations.RunSQL(WALLS, BACK),
    ]
