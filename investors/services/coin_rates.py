"""Rates of stablecoins: read from markets by a job, or entered by one person and signed by another.

The newest rate observed at or before an instant counts there.  One that jumps counts only where a
second source shows it, or two people entered it; until then it is stored and held.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from investors.domain.coins import (
    CONFIRMED_WITHIN,
    RATE_AGE_MAX,
    RateSource,
    is_fresh,
    is_jump,
    read_sources,
    require_lines,
    require_rate,
)
from investors.models import CoinRate, Fund, RateProposal
from investors.services.two_people import decide_proposal
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import RATE
from magnetfund.kernel.clock import isoformat_z, require_utc, utc_now
from magnetfund.kernel.counting import count_of
from magnetfund.kernel.errors import FundError, InvalidInput, NotAllowed, Unavailable
from magnetfund.kernel.money import CARRIED
from trading.services.exchange_candles import open_exchange
from trading.venues.ccxt_quotes import read_middle

#: What one proposal may hold: six weeks of hours.
LINES_MAX = 1_000
#: A source is read again after so long.
READ_EVERY = timedelta(minutes=5)


def usable_rates(coin: str, currency: str) -> QuerySet[CoinRate]:
    """The rates of a pair that count, the newest first."""
    rows = CoinRate.objects.filter(coin=coin, currency=currency, held="")
    return rows.order_by("-observed_at", "-id")


def find_rate(coin: str, currency: str, *, at: datetime) -> CoinRate | None:
    """The newest rate observed at or before an instant, however old."""
    return usable_rates(coin, currency).filter(observed_at__lte=at).first()


def require_coin_rate(coin: str, currency: str, *, at: datetime) -> CoinRate:
    """The rate that values a coin at an instant.

    Raises :class:`Unavailable`: ``rate_missing``, and ``rate_too_old`` beyond the age limit.
    """
    row = find_rate(coin, currency, at=at)
    step = (
        f"enter what a market showed then on the page Rates, and have a controller sign it; "
        f"STABLECOIN_RATES={coin}=kraken:{coin}/{currency} reads it every five minutes from now on"
    )
    if row is None:
        raise Unavailable(
            f"{coin} has no rate in {currency} at {at:%Y-%m-%d %H:%M} UTC, and what a market "
            f"settles in it is no longer taken one for one; {step}",
            code="rate_missing",
        )
    if not is_fresh(row.observed_at, at=at):
        raise Unavailable(
            f"the newest rate of {coin} in {currency} is of {row.observed_at:%Y-%m-%d %H:%M} UTC, "
            f"more than {RATE_AGE_MAX.total_seconds() / 3600:.0f} hours before the valuation; "
            f"{step}",
            code="rate_too_old",
        )
    return row


def take_rate(source: RateSource, *, rate: Decimal, observed_at: datetime) -> CoinRate | None:
    """Store what a source showed; ``None`` where that time of it is stored already.

    It is held where it jumps from the rate before it and no other source showed the same within
    the last quarter of an hour.  Raises :class:`InvalidInput` (``bad_rate``).
    """
    require_rate(rate)
    with transaction.atomic():
        before = find_rate(source.coin, source.currency, at=observed_at)
        held = ""
        if before is not None and is_jump(before.rate, rate):
            others = CoinRate.objects.filter(
                coin=source.coin, currency=source.currency,
                observed_at__range=(observed_at - CONFIRMED_WITHIN, observed_at),
            ).exclude(source=source.name)  # fmt: skip
            if not any(not is_jump(other.rate, rate) for other in others):
                held = f"{rate / before.rate - 1:+.1%} from {before.source}; no second source"
        row, is_new = CoinRate.objects.get_or_create(
            coin=source.coin, currency=source.currency, source=source.name,
            observed_at=observed_at, proposal=None, defaults={"rate": rate, "held": held},
        )  # fmt: skip
    return row if is_new else None


def poll_rates() -> str:
    """Read every source of the setting that was not read lately; says what came of it."""
    try:
        sources = read_sources(settings.STABLECOIN_RATES)
    except InvalidInput as error:
        return error.message
    words, taken = [], 0
    for source in sources:
        now = utc_now()
        if CoinRate.objects.filter(
            source=source.name, coin=source.coin, observed_at__gt=now - READ_EVERY
        ).exists():
            continue
        try:
            client = open_exchange(source.venue)
            row = take_rate(source, rate=read_middle(client, source.symbol), observed_at=utc_now())
        except FundError as error:
            words.append(error.message)
            continue
        taken += 1
        if row is not None and row.held:
            words.append(f"{row.coin} {row.rate.normalize():f} held: {row.held}")
    return "; ".join([*([f"{count_of(taken, 'rate')} read"] if taken else []), *words])


def propose_rates(
    *,
    fund: Fund,
    coin: str,
    source: str,
    lines: Iterable[tuple[datetime, Decimal]],
    actor: Actor,
) -> RateProposal:
    """Propose rates of a coin in the fund's currency, each with the time at which it stood.

    Nothing is valued by them before another person signs.  Raises :class:`InvalidInput`:
    ``unknown_coin``, ``no_source``, ``in_future``, ``too_many``, and what
    :func:`require_lines` raises.
    """
    actor.require(Capability.NAV_PREPARE)
    if actor.user is None:
        raise NotAllowed("a rate is entered by a person", code="needs_person")
    if coin not in CARRIED or coin == fund.currency:
        known = ", ".join(name for name in CARRIED if name != fund.currency)
        raise InvalidInput(f"rates are of: {known}", code="unknown_coin")
    name = source.strip()[:80]
    if not name:
        raise InvalidInput("say where the rate was read", code="no_source")
    found = require_lines((require_utc(at), rate) for at, rate in lines)
    if found[-1][0] > utc_now():
        raise InvalidInput("a rate of the future is none", code="in_future")
    if len(found) > LINES_MAX:
        raise InvalidInput(f"at most {LINES_MAX:,} rates at once", code="too_many")
    with transaction.atomic():
        row = RateProposal.objects.create(
            fund=fund, coin=coin, currency=fund.currency, source=name, proposed_by=actor.user,
            lines=[[isoformat_z(at), f"{rate.normalize():f}"] for at, rate in found],
        )  # fmt: skip
        _note(actor, "rate.proposed", row)
    return row


def decide_rates(
    *, proposal: RateProposal, is_approved: bool, actor: Actor, reason: str = ""
) -> RateProposal:
    """Approve or decline entered rates, by another person; approved, they count.

    Raises what :func:`decide_proposal` raises.
    """
    actor.require(Capability.NAV_APPROVE)
    with transaction.atomic():
        row = decide_proposal(
            proposal, action=RATE, is_approved=is_approved, actor=actor, reason=reason,
            what="a rate",
        )  # fmt: skip
        if is_approved:
            CoinRate.objects.bulk_create(
                CoinRate(
                    coin=row.coin, currency=row.currency, source=row.source, proposal=row,
                    observed_at=datetime.fromisoformat(at), rate=Decimal(rate),
                )
                for at, rate in row.lines
            )  # fmt: skip
        _note(actor, "rate.approved" if is_approved else "rate.declined", row)
    return row


def describe_rates(row: RateProposal) -> dict[str, object]:
    """What entered rates say, as their audit lines hold it."""
    return {
        "coin": row.coin,
        "currency": row.currency,
        "source": row.source,
        "lines": row.lines,
        "reason": row.reason,
    }


def _note(actor: Actor, action: str, row: RateProposal) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("rate_proposal", row.pk),
        body=describe_rates(row),
        at=utc_now(),
    )
