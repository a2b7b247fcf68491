"""Where the result of closed trades came from: every part adds to the whole, to the last cent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Case, CharField, Count, F, Q, QuerySet, Sum, Value, When

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
    by_strategy = _group(rows, F("strategy"))
    shown = rows.select_related("instrument")
    return AttributedTrades(
        since=since,
        whole=_add(by_strategy),
        by={
            "strategy": by_strategy,
            "instrument": _group(rows, F("instrument__symbol")),
            "leverage": tuple(sorted(_group(rows, _LEVERAGE), key=_leverage_rank)),
            "exit": _group(rows, F("closure_reason")),
            "magnet": _by_magnet(book, since),
        },
        winners=tuple(shown.filter(net_pnl__gt=0).order_by("-net_pnl")[:SHOWN]),
        losers=tuple(shown.filter(net_pnl__lt=0).order_by("net_pnl")[:SHOWN]),
        spread=_spread(rows),
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


def _group(rows: QuerySet[Trade, Any], key: Any) -> tuple[TradeGroup, ...]:
    found = (
        rows.order_by()
        .annotate(key=key)
        .values("key")
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
    parts = [
        TradeGroup(
            key=row["key"] or "unknown",
            trades=row["trades"],
            won=row["won"],
            gross=row["sum_gross"],
            fees=row["sum_fees"],
            funding=row["sum_funding"],
            slippage=row["sum_slippage"],
            net=row["sum_net"],
        )
        for row in found
    ]
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


def _spread(rows: QuerySet[Trade, Any]) -> Spread | None:
    pairs = rows.filter(account_balance__gt=0).values_list("net_pnl", "account_balance")
    shares = np.array([float(net / balance) for net, balance in pairs.iterator()])
    if not shares.size:
        return None
    deviation = float(shares.std(ddof=1)) if shares.size > 1 else None
    skewness = None
    if shares.size > 2 and deviation:
        skewness = float(((shares - shares.mean()) ** 3).mean() / shares.std() ** 3)
    counts, _ = np.histogram(1_000 * shares, bins=np.array([-math.inf, *EDGES, math.inf]))
    names = [
        f"below {EDGES[0]:g}",
        *(f"{low:g} to {high:g}" for low, high in pairwise(EDGES)),
        f"above {EDGES[-1]:g}",
    ]
    return Spread(
        mean=float(shares.mean()),
        deviation=deviation,
        skewness=skewness,
        best=float(shares.max()),
        worst=float(shares.min()),
        bins=tuple(
            (name, int(count), at > EDGES.index(0.0))
            for at, (name, count) in enumerate(zip(names, counts, strict=True))
        ),
    )
