"""Where the result of closed trades came from: every part adds to the whole, to the last cent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from django.db import connection
from django.db.models import Case, CharField, Count, Q, QuerySet, Sum, Value, When

from trading.models import Trade

ZERO = Decimal(0)
SHOWN = 5
#: Edges of the distribution, in per mille of the account at entry.
EDGES = (-10.0, -6.0, -4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 6.0, 10.0)
#: Trades whose target is looked for among the levels; each costs a step into their index.
KINDS_LOOKED_AT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeGroup:
    """Trades of one key: ``net = gross - fees + funding``; slippage is inside ``gross``.

    ``slippage`` is what fills were worse than their reference prices by, positive for a cost.
    """

    key: str
    trades: int
    won: int
    gross: Decimal
    fees: Decimal
    funding: Decimal
    slippage: Decimal
    net: Decimal

    @property
    def before(self) -> Decimal:
        """What the price moves alone gave."""
        return self.gross + self.slippage

    @property
    def steps(self) -> tuple[Decimal, ...]:
        """The way to the net result as it adds up: moves, slippage, fees, funding, net."""
        return (self.before, -self.slippage, -self.fees, self.funding, self.net)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Results as shares of the account at entry; None where there are too few."""

    mean: float
    deviation: float | None
    skewness: float | None
    best: float
    worst: float
    bins: tuple[tuple[str, int, bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributedTrades:
    """The whole and its parts, the best result first; leverage from low to high."""

    since: datetime | None
    whole: TradeGroup
    by: dict[str, tuple[TradeGroup, ...]]
    winners: tuple[Trade, ...]
    losers: tuple[Trade, ...]
    spread: Spread | None


def view_attribution(book: str, *, since: datetime | None = None) -> AttributedTrades:
    """Closed trades of a book from ``since`` on (None: all), split in five ways."""
    rows = Trade.objects.filter(book=book)
    if since is not None:
        rows = rows.filter(closed_at__gte=since)
    parts = _sum_parts(rows)
    by_strategy = _group(parts, "strategy")
    return AttributedTrades(
        since=since,
        whole=_add(by_strategy),
        by={
            "strategy": by_strategy,
            "instrument": _group(parts, "instrument__symbol"),
            "leverage": tuple(sorted(_group(parts, "level"), key=_leverage_rank)),
            "exit": _group(parts, "closure_reason"),
            "magnet": _by_magnet(book, since),
        },
        winners=_first(rows.filter(net_pnl__gt=0).order_by("-net_pnl")),
        losers=_first(rows.filter(net_pnl__lt=0).order_by("net_pnl")),
        spread=_spread(book, since),
    )


#: Highest leverage of each group but the last, with the name of the group.
LEVERAGES = ((1.0, "1.0x"), (1.5, "1.0x to 1.5x"), (2.0, "1.5x to 2.0x"), (2.5, "2.0x to 2.5x"))
ABOVE_ALL = "above 2.5x"
_LEVERAGE = Case(
    *(When(leverage__lte=most, then=Value(name)) for most, name in LEVERAGES),
    default=Value(ABOVE_ALL),
    output_field=CharField(),
)


def _leverage_rank(part: TradeGroup) -> int:
    return [*(name for _, name in LEVERAGES), ABOVE_ALL].index(part.key)


def _first(rows: QuerySet[Trade, Any]) -> tuple[Trade, ...]:
    """The first trades; their keys are found before anything else of them is read."""
    keys = rows.values("pk")[:SHOWN]
    return tuple(rows.filter(pk__in=keys).select_related("instrument"))


def _sum_parts(rows: QuerySet[Trade, Any]) -> list[dict[str, Any]]:
    """The sums of every combination of the keys, so that the trades are read once for all ways."""
    found: Any = (
        rows.order_by()
        .annotate(level=_LEVERAGE)
        .values("strategy", "instrument__symbol", "level", "closure_reason")
        .annotate(
            trades=Count("id"),
            won=Count("id", filter=Q(net_pnl__gt=0)),
            sum_gross=Sum("gross_pnl"),
            sum_fees=Sum("commission"),
            sum_funding=Sum("funding"),
            sum_slippage=Sum("slippage"),
            sum_net=Sum("net_pnl"),
        )
    )
    return list(found)


def _group(found: Sequence[dict[str, Any]], name: str) -> tuple[TradeGroup, ...]:
    """The sums by one of the keys, the best result first."""
    by_key: dict[str, list[TradeGroup]] = {}
    for row in found:
        key = row[name] or "unknown"
        by_key.setdefault(key, []).append(
            TradeGroup(
                key=key,
                trades=row["trades"],
                won=row["won"],
                gross=row["sum_gross"],
                fees=row["sum_fees"],
                funding=row["sum_funding"],
                slippage=row["sum_slippage"],
                net=row["sum_net"],
            )
        )
    parts = [replace(_add(groups), key=key) for key, groups in by_key.items()]
    return tuple(sorted(parts, key=lambda part: (-part.net, part.key)))


def _add(parts: Sequence[TradeGroup]) -> TradeGroup:
    """All parts together, exactly."""
    return TradeGroup(
        key="all",
        trades=sum(part.trades for part in parts),
        won=sum(part.won for part in parts),
        gross=sum((part.gross for part in parts), ZERO),
        fees=sum((part.fees for part in parts), ZERO),
        funding=sum((part.funding for part in parts), ZERO),
        slippage=sum((part.slippage for part in parts), ZERO),
        net=sum((part.net for part in parts), ZERO),
    )


def _by_magnet(book: str, since: datetime | None) -> tuple[TradeGroup, ...]:
    """Trades of the newest ``KINDS_LOOKED_AT`` that had a tier, by the level next to their target.

    A level counts that was known and alive when the trade was opened, within a quarter of a per
    cent of the target.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(level.kind, 'no stored level') AS key, count(*),
                      count(*) FILTER (WHERE t.net_pnl > 0), sum(t.gross_pnl), sum(t.commission),
                      sum(t.funding), sum(t.slippage), sum(t.net_pnl)
               FROM (SELECT * FROM trading_trade
                     WHERE book = %(book)s AND tier BETWEEN 1 AND 4 AND target_price IS NOT NULL
                       AND (%(since)s::timestamptz IS NULL OR closed_at >= %(since)s)
                     ORDER BY closed_at DESC LIMIT %(most)s) t
               LEFT JOIN LATERAL (
                 SELECT kind FROM trading_magnet m
                 WHERE m.instrument_id = t.instrument_id AND m.known_at <= t.opened_at
                   AND (m.dead_at IS NULL OR m.dead_at > t.opened_at)
                   AND abs(m.price - t.target_price::float) <= 0.0025 * t.target_price::float
                 ORDER BY abs(m.price - t.target_price::float), m.id LIMIT 1) level ON true
               GROUP BY 1 ORDER BY 8 DESC, 1""",
            {"book": book, "since": since, "most": KINDS_LOOKED_AT},
        )
        names = ("key", "trades", "won", "gross", "fees", "funding", "slippage", "net")
        return tuple(TradeGroup(**dict(zip(names, row, strict=True))) for row in cursor.fetchall())


def _spread(book: str, since: datetime | None) -> Spread | None:
    """Mean, deviation of a sample, skewness of the whole and counts, in one pass of the database
    over the results and one over their moments."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH shares AS MATERIALIZED (
                 SELECT (net_pnl / account_balance)::float8 AS share FROM trading_trade
                 WHERE book = %(book)s AND account_balance > 0
                   AND (%(since)s::timestamptz IS NULL OR closed_at >= %(since)s)),
               whole AS (
                 SELECT count(*) AS n, avg(share) AS mean, stddev_samp(share) AS deviation,
                   stddev_pop(share) AS spread, max(share) AS best, min(share) AS worst
                 FROM shares),
               bins AS (
                 SELECT width_bucket(1000 * share, %(edges)s::float8[]) AS bin, count(*) AS n
                 FROM shares GROUP BY 1)
               SELECT n, mean, deviation,
                 (SELECT avg((share - mean) ^ 3) FROM shares) / nullif(spread, 0) ^ 3,
                 best, worst, (SELECT jsonb_object_agg(bin, bins.n) FROM bins)
               FROM whole""",
            {"book": book, "since": since, "edges": list(EDGES)},
        )
        count, mean, deviation, skewness, best, worst, bins = cursor.fetchone()
    if not count:
        return None
    counts = {int(at): number for at, number in json.loads(bins).items()}
    names = [
        f"below {EDGES[0]:g}",
        *(f"{low:g} to {high:g}" for low, high in pairwise(EDGES)),
        f"above {EDGES[-1]:g}",
    ]
    return Spread(
        mean=mean,
        deviation=deviation,
        skewness=skewness if count > 2 and deviation else None,
        best=best,
        worst=worst,
        bins=tuple(
            (name, counts.get(at, 0), at > EDGES.index(0.0)) for at, name in enumerate(names)
        ),
    )
