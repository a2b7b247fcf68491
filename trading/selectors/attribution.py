"""Where the result of closed trades came from: every part adds to the whole, to the last cent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from django.db import connection
from django.db.models import F, Max, Min, Q, QuerySet, Sum

from magnetfund.kernel.clock import utc_midnight
from trading.models import Trade, TradeDay

ZERO = Decimal(0)
DAY = timedelta(days=1)
SHOWN = 5
#: Edges of the distribution, in per mille of the account at entry; the kept days count between
#: them, so that others take a migration.
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
    """Closed trades of a book from the UTC day of ``since`` on (None: all), split in five ways."""
    start = None if since is None else utc_midnight(since)
    days = TradeDay.objects.filter(book=book)
    rows = Trade.objects.filter(book=book)
    if start is not None:
        days, rows = days.filter(day__gte=start.date()), rows.filter(closed_at__gte=start)
    parts = _sum_parts(days)
    by_strategy = _group(parts, "strategy")
    return AttributedTrades(
        since=start,
        whole=_add(by_strategy),
        by={
            "strategy": by_strategy,
            "instrument": _group(parts, "instrument__symbol"),
            "leverage": tuple(sorted(_group(parts, "level"), key=_leverage_rank)),
            "exit": _group(parts, "closure_reason"),
            "magnet": _by_magnet(book, start),
        },
        winners=_first(rows.filter(net_pnl__gt=0).order_by("-net_pnl"), days.order_by("-best")),
        losers=_first(rows.filter(net_pnl__lt=0).order_by("net_pnl"), days.order_by("worst")),
        spread=_spread(parts),
    )


#: Highest leverage of each group but the last, with the name of the group.
LEVERAGES = ((1.0, "1.0x"), (1.5, "1.0x to 1.5x"), (2.0, "1.5x to 2.0x"), (2.5, "2.0x to 2.5x"))
ABOVE_ALL = "above 2.5x"
#: By the number of edges that a leverage is above.
BANDS = (*(name for _, name in LEVERAGES), ABOVE_ALL)


def _leverage_rank(part: TradeGroup) -> int:
    return BANDS.index(part.key)


def _first(rows: QuerySet[Trade, Any], days: QuerySet[TradeDay, Any]) -> tuple[Trade, ...]:
    """The first trades; they lie in the first sums by the same figure, each of which is a trade's.

    The keys are found before anything else of the trades is read.
    """
    inside = Q(pk__in=())
    for day, strategy, instrument in days.values_list("day", "strategy", "instrument")[:SHOWN]:
        begin = datetime.combine(day, time(), tzinfo=UTC)
        inside |= Q(
            strategy=strategy,
            instrument=instrument,
            closed_at__gte=begin,
            closed_at__lt=begin + DAY,
        )
    keys = rows.filter(inside).values("pk")[:SHOWN]
    return tuple(rows.filter(pk__in=keys).select_related("instrument"))


def _sum_parts(days: QuerySet[TradeDay, Any]) -> list[dict[str, Any]]:
    """The sums of every combination of the keys, so that the days are read once for all ways."""
    names = ("gross", "funding", "slippage", "net", "shares", "shares_1", "shares_2", "shares_3")
    found: Any = (
        days.order_by()
        .values("strategy", "instrument__symbol", "leverage_band", "closure_reason")
        .annotate(
            **{f"sum_{name}": Sum(name) for name in ("trades", "won", *names)},
            sum_fees=Sum("commission"),
            best=Max("share_best"),
            worst=Min("share_worst"),
            **{f"bin_{k}": Sum(F(f"bins__{k}")) for k in range(len(EDGES) + 1)},
        )
    )
    return [{**row, "level": BANDS[row["leverage_band"]]} for row in found]


def _group(found: Sequence[dict[str, Any]], name: str) -> tuple[TradeGroup, ...]:
    """The sums by one of the keys, the best result first."""
    by_key: dict[str, list[TradeGroup]] = {}
    for row in found:
        key = row[name] or "unknown"
        by_key.setdefault(key, []).append(
            TradeGroup(
                key=key,
                trades=row["sum_trades"],
                won=row["sum_won"],
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
    cent of the target; the somewhat wider band is for the index by price.
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
                   AND m.price BETWEEN 0.997 * t.target_price::float
                     AND 1.003 * t.target_price::float
                   AND abs(m.price - t.target_price::float) <= 0.0025 * t.target_price::float
                 ORDER BY abs(m.price - t.target_price::float), m.id LIMIT 1) level ON true
               GROUP BY 1 ORDER BY 8 DESC, 1""",
            {"book": book, "since": since, "most": KINDS_LOOKED_AT},
        )
        names = ("key", "trades", "won", "gross", "fees", "funding", "slippage", "net")
        return tuple(TradeGroup(**dict(zip(names, row, strict=True))) for row in cursor.fetchall())


def _spread(parts: Sequence[dict[str, Any]]) -> Spread | None:
    """Mean, deviation of a sample, skewness of the whole and counts, from sums of powers: exact, so
    that equal results have no deviation."""
    count = sum(row["sum_shares"] for row in parts)
    if not count:
        return None
    first, second, third = (
        sum(Fraction(row[f"sum_shares_{power}"]) for row in parts) for power in (1, 2, 3)
    )
    # n² times the variance and n³ times the third moment, both about the mean.
    square = count * second - first**2
    cube = count**2 * third - 3 * count * first * second + 2 * first**3
    names = [
        f"below {EDGES[0]:g}",
        *(f"{low:g} to {high:g}" for low, high in pairwise(EDGES)),
        f"above {EDGES[-1]:g}",
    ]
    return Spread(
        mean=float(first / count),
        deviation=math.sqrt(square / (count * (count - 1))) if count > 1 else None,
        skewness=float(cube) / float(square) ** 1.5 if count > 2 and square else None,
        best=max(float(row["best"]) for row in parts if row["best"] is not None),
        worst=min(float(row["worst"]) for row in parts if row["worst"] is not None),
        bins=tuple(
            (name, sum(row[f"bin_{at}"] for row in parts), at > EDGES.index(0.0))
            for at, name in enumerate(names)
        ),
    )
