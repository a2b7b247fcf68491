"""Fills and closed trades are added to their UTC day in the transaction that books them."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import magnetfund.core.fields

DAY = "({0} AT TIME ZONE 'UTC')::date"
#: Sums of fills, to be read from the new rows of a statement or from the whole table.
FILLS = f"""
  INSERT INTO trading_fillday AS kept
    (book, instrument_id, strategy, day, fills, quantity, held, paid, fees)
  SELECT f.book, f.instrument_id, f.strategy, {DAY.format("f.occurred_at")}, count(*),
    sum(s.signed), sum(round(s.signed * s.seconds_left / 86400, 18)),
    sum(round(s.signed * f.price, 18)), sum(f.fee)
  FROM {{source}} f CROSS JOIN LATERAL (
    SELECT CASE f.side WHEN 'buy' THEN f.quantity ELSE -f.quantity END AS signed,
      86400 - extract(epoch FROM f.occurred_at - date_trunc('day', f.occurred_at, 'UTC'))
        AS seconds_left) s
  WHERE {{where}} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""
BINS = ", ".join(f"count(*) FILTER (WHERE s.bin = {k})" for k in range(12))
TRADES = f"""
  INSERT INTO trading_tradeday AS kept
    (book, instrument_id, strategy, day, leverage_band, closure_reason, trades, won, lost, gross,
     commission, funding, slippage, net, won_net, lost_net, best, worst, last_closed_at, shares,
     shares_1, shares_2, shares_3, share_best, share_worst, bins)
  SELECT t.book, t.instrument_id, t.strategy, {DAY.format("t.closed_at")}, s.band,
    t.closure_reason, count(*), count(*) FILTER (WHERE t.net_pnl > 0),
    count(*) FILTER (WHERE t.net_pnl < 0), sum(t.gross_pnl), sum(t.commission), sum(t.funding),
    sum(t.slippage), sum(t.net_pnl), sum(greatest(t.net_pnl, 0)), sum(least(t.net_pnl, 0)),
    max(t.net_pnl), min(t.net_pnl), max(t.closed_at), count(s.share),
    coalesce(sum(s.share), 0), coalesce(sum(s.share * s.share), 0),
    coalesce(sum(s.share * s.share * s.share), 0), max(s.share), min(s.share), ARRAY[{BINS}]
  FROM {{source}} t CROSS JOIN LATERAL (
    SELECT a.share, (t.leverage > 1.0)::int + (t.leverage > 1.5)::int + (t.leverage > 2.0)::int
        + (t.leverage > 2.5)::int AS band,
      width_bucket(1000 * a.share, ARRAY[-10, -6, -4, -2, -1, 0, 1, 2, 4, 6, 10]::numeric[]) AS bin
    FROM (SELECT CASE WHEN t.account_balance > 0
      THEN round(t.net_pnl / t.account_balance, 18) END AS share) a) s
  WHERE {{where}} GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6"""


def added(*columns: str) -> str:
    return ", ".join(f"{name} = kept.{name} + excluded.{name}" for name in columns)


FUNCTIONS = f"""
CREATE FUNCTION trading_fill_by_day() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  {FILLS.format(source="added", where="true")}
  ON CONFLICT (book, day, strategy, instrument_id) DO UPDATE SET
    {added("fills", "quantity", "held", "paid", "fees")};
  RETURN NULL;
END $$;

CREATE FUNCTION trading_trade_by_day() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  {TRADES.format(source="added", where="true")}
  ON CONFLICT (book, day, strategy, instrument_id, leverage_band, closure_reason) DO UPDATE SET
    {
    added(
        "trades",
        "won",
        "lost",
        "gross",
        "commission",
        "funding",
        "slippage",
        "net",
        "won_net",
        "lost_net",
        "shares",
        "shares_1",
        "shares_2",
        "shares_3",
    )
},
    best = greatest(kept.best, excluded.best), worst = least(kept.worst, excluded.worst),
    last_closed_at = greatest(kept.last_closed_at, excluded.last_closed_at),
    share_best = greatest(kept.share_best, excluded.share_best),
    share_worst = least(kept.share_worst, excluded.share_worst),
    bins = ARRAY(SELECT k.had + k.came FROM unnest(kept.bins, excluded.bins)
      WITH ORDINALITY AS k (had, came, place) ORDER BY k.place);
  RETURN NULL;
END $$;

-- Makes the days of a book anew. Whoever books a fill meanwhile waits, and adds it afterwards.
CREATE FUNCTION trading_sum_days(p_book text) RETURNS void LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  LOCK TABLE trading_fillday, trading_tradeday IN SHARE ROW EXCLUSIVE MODE;
  DELETE FROM trading_fillday WHERE book = p_book;
  DELETE FROM trading_tradeday WHERE book = p_book;
  {FILLS.format(source="trading_fill", where="f.book = p_book")};
  {TRADES.format(source="trading_trade", where="t.book = p_book")};
END $$;
REVOKE ALL ON FUNCTION trading_fill_by_day, trading_trade_by_day, trading_sum_days FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trading_sum_days TO fa_gateway;

SELECT trading_sum_days(book)
  FROM (SELECT book FROM trading_fill UNION SELECT book FROM trading_trade) books;

CREATE TRIGGER sum_by_day AFTER INSERT ON trading_fill REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION trading_fill_by_day();
CREATE TRIGGER sum_by_day AFTER INSERT ON trading_trade REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION trading_trade_by_day();
ALTER TABLE trading_fill ENABLE ALWAYS TRIGGER sum_by_day;
ALTER TABLE trading_trade ENABLE ALWAYS TRIGGER sum_by_day;

REVOKE ALL ON trading_fillday, trading_tradeday FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON trading_fillday, trading_tradeday TO fa_app, fa_gateway, fa_auditor;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
"""
BACK = """
DROP FUNCTION trading_fill_by_day() CASCADE;
DROP FUNCTION trading_trade_by_day() CASCADE;
DROP FUNCTION trading_sum_days;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0028_terms_that_tighten"),
    ]

    operations = [
        migrations.CreateModel(
            name="FillDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("book", models.CharField(max_length=20)),
                ("strategy", models.CharField(max_length=40)),
                ("day", models.DateField()),
                ("fills", models.PositiveIntegerField()),
                ("quantity", magnetfund.core.fields.ExactField(help_text="Base currency.")),
                (
                    "held",
                    magnetfund.core.fields.ExactField(
                        help_text="Quantity by the share of the day that was left."
                    ),
                ),
                (
                    "paid",
                    models.DecimalField(
                        decimal_places=18, help_text="Quote currency.", max_digits=60
                    ),
                ),
                ("fees", magnetfund.core.fields.ExactField()),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="trading.instrument"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("book", "day", "strategy", "instrument"),
                        name="trading_fillday_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TradeDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("book", models.CharField(max_length=20)),
                ("strategy", models.CharField(max_length=40)),
                ("day", models.DateField()),
                (
                    "leverage_band",
                    models.PositiveSmallIntegerField(help_text="Edges that the leverage is above."),
                ),
                ("closure_reason", models.CharField(max_length=20)),
                ("trades", models.PositiveIntegerField()),
                ("won", models.PositiveIntegerField()),
                ("lost", models.PositiveIntegerField()),
                ("gross", magnetfund.core.fields.ExactField()),
                ("commission", magnetfund.core.fields.ExactField()),
                ("funding", magnetfund.core.fields.ExactField()),
                ("slippage", magnetfund.core.fields.ExactField()),
                ("net", magnetfund.core.fields.ExactField()),
                ("won_net", magnetfund.core.fields.ExactField(help_text="Net results above zero.")),
                (
                    "lost_net",
                    magnetfund.core.fields.ExactField(help_text="Net results below zero."),
                ),
                ("best", magnetfund.core.fields.ExactField(help_text="The best net result.")),
                ("worst", magnetfund.core.fields.ExactField(help_text="The worst net result.")),
                ("last_closed_at", models.DateTimeField()),
                ("shares", models.PositiveIntegerField()),
                ("shares_1", models.DecimalField(decimal_places=18, max_digits=80)),
                ("shares_2", models.DecimalField(decimal_places=36, max_digits=140)),
                ("shares_3", models.DecimalField(decimal_places=54, max_digits=200)),
                ("share_best", models.DecimalField(decimal_places=18, max_digits=80, null=True)),
                ("share_worst", models.DecimalField(decimal_places=18, max_digits=80, null=True)),
                (
                    "bins",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveIntegerField(),
                        help_text="Shares between the edges.",
                        size=None,
                    ),
                ),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="trading.instrument"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=(
                            "book",
                            "day",
                            "strategy",
                            "instrument",
                            "leverage_band",
                            "closure_reason",
                        ),
                        name="trading_tradeday_once",
                    )
                ],
            },
        ),
        migrations.RunSQL(FUNCTIONS, BACK),
        migrations.AddIndex(
            model_name="magnet",
            index=models.Index(fields=["instrument", "price"], name="trading_magnet_price"),
        ),
    ]
