"""What a fund holds in stablecoins, by which rate a NAV takes it, and the entry that values it.

What a real market settles in a coin stands in venue cash (1030) coin for coin; its difference to
par stands on an account of its own (1040).  Coins of the simulated market, and all of a fund of
invented money, are at par by definition: nobody could sell them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q, Subquery

from investors.domain.coins import (
    applied_rate,
    is_at_par,
    is_fresh,
    value_difference,
)
from investors.domain.ledger import JointLine, Tags, build_joint_entry
from investors.domain.ledger.chart import COIN_DIFFERENCE, VENUE_CASH
from investors.models import CoinRate, Fund, NavStrike
from investors.services.coin_rates import find_rate, require_coin_rate
from investors.services.ledger import NewEntry, post_entry
from investors.services.par_terms import is_par_agreed
from investors.services.trading_books import SleevePosition
from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.money import CARRIED
from trading.domain.market.symbols import SIMULATED
from trading.models import BookMember, FillTotal, Instrument

ZERO, ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCoins:
    """Coins of one currency at a valuation: cash and margin, and the open result in it."""

    coin: str
    cash: Decimal
    unrealised: Decimal
    #: Whether money that is sent becomes this coin.
    is_of_flows: bool

    @property
    def amount(self) -> Decimal:
        """Both, in coins."""
        return self.cash + self.unrealised


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuedCoins:
    """Coins with the rate that counts at a valuation, and whether the fund carries them at par."""

    held: HeldCoins
    row: CoinRate
    is_par_agreed: bool

    @property
    def applied(self) -> Decimal:
        """The rate that is taken: 1 where par is agreed and not void."""
        return applied_rate(self.row.rate, is_par_agreed=self.is_par_agreed)

    @property
    def is_void(self) -> bool:
        """Whether par is agreed and does not hold."""
        return self.is_par_agreed and not is_at_par(self.row.rate)

    @property
    def difference(self) -> Decimal:
        """What they are worth beyond one for one, in the fund's currency."""
        return value_difference(self.held.amount, self.applied)


def funding_coin(fund: Fund) -> str:
    """The coin that money sent to the venue becomes; "" where nothing is converted.

    It is what the first instrument of a real market settles in that the book ever traded, or that
    it may trade, so that it never changes under the money.
    """
    return read_market(fund)[0]


def coin_of_symbols(fund: Fund) -> dict[str, str]:
    """What each instrument of a real market that the book traded settles in, by symbol."""
    return read_market(fund)[1]


def read_market(fund: Fund) -> tuple[str, dict[str, str]]:
    """:func:`funding_coin` and :func:`coin_of_symbols` by one query."""
    if fund.is_simulated:
        return "", {}
    members = BookMember.objects.filter(book=fund.book, instrument=OuterRef("pk")).order_by("pk")
    fills = FillTotal.objects.filter(book=fund.book, instrument=OuterRef("pk"))
    rows = list(
        Instrument.objects.exclude(venue=SIMULATED)
        .annotate(joined=Subquery(members.values("pk")[:1]), is_traded=Exists(fills))
        .filter(Q(joined__isnull=False) | Q(is_traded=True) | Q(is_active=True))
        .order_by("joined", "pk")  # NULLs last
        .values_list("symbol", "settle", "joined", "is_traded", "is_active")
    )
    first = next((row for row in rows if row[2] is not None or row[4]), None)
    own = "" if first is None or first[1] == fund.currency else first[1]
    return own, {row[0]: row[1] for row in rows if row[3]}


def list_held(
    fund: Fund, *, before: datetime, positions: Iterable[SleevePosition]
) -> list[HeldCoins]:
    """What the fund holds in each coin that is not its currency, by name, the coin of its flows
    even where it holds none yet; nothing at the simulated market."""
    if fund.is_simulated:
        return []
    own, coins = read_market(fund)
    cash: dict[str, Decimal] = {own: ZERO}
    opened: dict[str, Decimal] = {}
    for symbol, amount in _by_instrument(fund, VENUE_CASH, before):
        coin = symbol if symbol in CARRIED else coins.get(symbol, own)
        cash[coin] = cash.get(coin, ZERO) + amount
    for position in positions:
        coin = coins.get(position.instrument, own)
        opened[coin] = opened.get(coin, ZERO) + position.unrealised
    return [
        HeldCoins(
            coin=coin, cash=cash.get(coin, ZERO), unrealised=opened.get(coin, ZERO),
            is_of_flows=coin == own,
        )
        for coin in sorted(cash.keys() | opened.keys())
        if coin not in ("", fund.currency) and (coin == own or cash.get(coin) or opened.get(coin))
    ]  # fmt: skip


def value_held(
    fund: Fund, *, at: datetime, positions: Iterable[SleevePosition]
) -> list[ValuedCoins]:
    """The coins held at a valuation, each with its rate and whether par is agreed.

    Raises :class:`Unavailable`: ``rate_missing``, ``rate_too_old``.
    """
    return [
        ValuedCoins(
            held=held,
            row=require_coin_rate(held.coin, fund.currency, at=at),
            is_par_agreed=is_par_agreed(fund, held.coin, at=at),
        )
        for held in list_held(fund, before=at, positions=positions)
    ]


def post_coin_values(
    fund: Fund, coins: Sequence[ValuedCoins], *, at: datetime, version: int, actor: Actor
) -> None:
    """Bring 1040 to what the coins are worth beyond par, coin by coin.

    The entry is effective a microsecond before ``at``: it closes the period that ends there, as
    the mark of open positions does.
    """
    standing = standing_differences(fund, before=at)
    wanted = {item.held.coin: item.difference for item in coins}
    changes = {
        coin: wanted.get(coin, ZERO) - standing.get(coin, ZERO)
        for coin in sorted(wanted.keys() | standing.keys())
    }
    lines = [
        JointLine(amounts={"change": change}, tags=Tags(instrument=coin))
        for coin, change in changes.items()
        if change
    ]
    if lines:
        entry = build_joint_entry(
            event="coins_valued",
            source_ref=f"coins:{fund.code}:{isoformat_z(at)}:{version}",
            effective_at=at - timedelta(microseconds=1),
            lines=lines,
            currency=fund.currency,
            text="Stablecoins, brought to their rates",
        )
        post_entry(fund, NewEntry.of(entry), actor=actor)


def plain_coins(coins: Iterable[ValuedCoins]) -> list[dict[str, Any]]:
    """What was held and by which rates it was taken, as a strike freezes it."""
    return [
        {
            "coin": item.held.coin,
            "amount": f"{item.held.amount.normalize():f}",
            "rate": f"{item.row.rate.normalize():f}",
            "rate_id": item.row.pk,
            "source": item.row.source,
            "observed_at": item.row.observed_at,
            "is_of_flows": item.held.is_of_flows,
            "is_par_agreed": item.is_par_agreed,
            "applied": f"{item.applied.normalize():f}",
            "difference": f"{item.difference.normalize():f}",
        }
        for item in coins
    ]


def coins_taken(checklist: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The coins of a NAV by its checklist, which pages may read: each as it was frozen."""
    return [line["figures"] for line in checklist if "figures" in line]


def say_taken(item: Mapping[str, Any]) -> str:
    """How a NAV took the coins of a line that it froze."""
    if item.get("applied", "1") == "1" and item.get("is_par_agreed", True):
        return "at par"
    return "by its rate; par is void" if item["is_par_agreed"] else "by its rate"


def changed_rates(strike: NavStrike, positions: Iterable[SleevePosition]) -> list[str]:
    """Coins of a prepared NAV for whose instant another rate or term counts now, and coins that it
    does not value: it was prepared while they were taken one for one."""
    fund, at = strike.fund, strike.valuation_at
    taken = {item["coin"]: item for item in strike.inputs.get("coins", ())}
    held = {item.coin for item in list_held(fund, before=at, positions=positions)}
    return [
        f"rate of {coin}"
        for coin in sorted(held | taken.keys())
        if (item := taken.get(coin)) is None
        or "applied" not in item
        or (now := find_rate(coin, fund.currency, at=at)) is None
        or now.pk != item["rate_id"]
        or is_par_agreed(fund, coin, at=at) != item["is_par_agreed"]
    ]


def rate_of_flows(fund: Fund, *, at: datetime) -> tuple[str, Decimal]:
    """The coin that money becomes at the venue and the rate of it: that of the newest NAV that was
    approved by ``at``; no coin and 1 where none was valued."""
    own = funding_coin(fund)
    taken = _newest_coins(fund, at) if own else []
    rates = {item["coin"]: Decimal(item.get("applied", ONE)) for item in taken}
    return (own, rates[own]) if own in rates else ("", ONE)


def standing_differences(fund: Fund, *, before: datetime) -> dict[str, Decimal]:
    """What account 1040 holds of each coin before an instant."""
    return dict(_by_instrument(fund, COIN_DIFFERENCE, before))


def estimate_change(fund: Fund, *, at: datetime, equity: Decimal) -> Decimal:
    """What the difference to par changed since it was last booked, with the book worth ``equity``.

    By rates of the last six hours; where there is none of a coin, by that of the newest NAV.
    """
    held = list_held(fund, before=at, positions=())
    if not held:
        return ZERO
    own, struck = next((item.coin for item in held if item.is_of_flows), ""), {}
    for item in _newest_coins(fund, at):
        struck[item["coin"]] = Decimal(item.get("applied", ONE))
    amounts = {item.coin: item.cash for item in held}
    posted = sum((amount for _, amount in _by_instrument(fund, VENUE_CASH, at)), ZERO)
    amounts[own] = amounts.get(own, ZERO) + equity - posted
    wanted = ZERO
    for coin, amount in amounts.items():
        row = find_rate(coin, fund.currency, at=at)
        if row is not None and is_fresh(row.observed_at, at=at):
            applied = applied_rate(row.rate, is_par_agreed=is_par_agreed(fund, coin, at=at))
        else:
            applied = struck.get(coin, ONE)
        wanted += value_difference(amount, applied)
    return wanted - sum(standing_differences(fund, before=at).values(), ZERO)


def _newest_coins(fund: Fund, at: datetime) -> list[dict[str, Any]]:
    """The coins of the newest NAV that was approved at or before an instant, as it froze them."""
    approved = (NavStrike.State.APPROVED, NavStrike.State.DEALT)
    rows = NavStrike.objects.filter(fund=fund, valuation_at__lte=at, state__in=approved)
    newest = rows.order_by("-valuation_at", "-version").values_list("checklist", flat=True)
    return coins_taken(newest.first() or ())


def _by_instrument(fund: Fund, account: str, before: datetime) -> list[tuple[str, Decimal]]:
    """The balance of an account before an instant by what its postings name: an instrument, a coin,
    or "" for money of before coins had rates."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.instrument, sum(p.amount)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND p.account_id = %s AND p.currency = %s
                 AND e.effective_at < %s GROUP BY 1 ORDER BY 1""",
            [fund.pk, account, fund.currency, before],
        )
        return [(name, amount) for name, amount in cursor.fetchall()]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestatedRate:
    """A dealt NAV for whose instant another rate counts now than it took.

    ``taken`` and ``now`` are the rates as they are applied; ``lacked`` is what net assets lacked,
    in the fund's currency, below zero where they held too much.
    """

    strike: NavStrike
    coin: str
    taken: Decimal
    now: Decimal
    lacked: Decimal


def find_restated_rates(fund: Fund) -> list[RestatedRate]:
    """Dealt NAVs whose coins another rate would value now: what was signed after them."""
    found = []
    dealt = NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT)
    for strike in dealt.only("valuation_at", "checklist").order_by("valuation_at"):
        for item in coins_taken(strike.checklist):
            row = find_rate(item["coin"], fund.currency, at=strike.valuation_at)
            if row is None or row.pk == item["rate_id"] or "applied" not in item:
                continue
            taken = Decimal(item["applied"])
            now = applied_rate(row.rate, is_par_agreed=item["is_par_agreed"])
            if now != taken:
                lacked = value_difference(Decimal(item["amount"]), ONE + now - taken)
                found.append(
                    RestatedRate(
                        strike=strike, coin=item["coin"], taken=taken, now=now, lacked=lacked
                    )
                )
    return found
