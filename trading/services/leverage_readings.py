"""Leverage of every instrument, recalculated on its newest price and stored with all its caps."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.counting import count_of
from magnetfund.kernel.errors import Unavailable
from risk.domain.leverage import LeverageCase, LeverageDecision, choose_leverage
from risk.services.limits import limits_in_force
from trading.models import Instrument, LeverageReading, Signal
from trading.services.leverage_inputs import read_leverage_inputs
from trading.services.manual_plan import live_price

#: A reading of the strategies that is older says nothing of now.
READING_AGE_MAX = timedelta(hours=2)
#: A price that is older is none.
PRICE_AGE_MAX = timedelta(seconds=15)
#: A row is kept where something changed, and otherwise so often.
KEEP_EVERY = timedelta(minutes=15)
PLACES = 2


def recalculate_leverage(book: str, *, at: datetime) -> str:
    """Recalculate every active instrument that has a price of now; says how many changed."""
    counted = changed = 0
    for instrument in Instrument.objects.filter(is_active=True):
        try:
            seen = live_price(book, instrument)
        except Unavailable:
            continue
        if utc_now() - seen.observed_at <= PRICE_AGE_MAX:
            counted += 1
            changed += _recalculate(instrument, seen.price, book, at)
    return f"{count_of(counted, 'instrument')}, {changed} changed"


def _recalculate(instrument: Instrument, price: Decimal, book: str, at: datetime) -> bool:
    if LeverageReading.objects.filter(instrument=instrument, at=at).exists():
        return False
    case = _case_of(instrument, float(price))
    decision = choose_leverage(case=case, limits=limits_in_force(book))
    row = _row_of(instrument, price, decision, at)
    last = LeverageReading.objects.filter(instrument=instrument, at__lt=at).first()
    is_same = last is not None and _essence(last) == _essence(row)
    if is_same and last is not None and at - last.at < KEEP_EVERY:
        return False
    row.save()
    return not is_same


def _case_of(instrument: Instrument, price: float) -> LeverageCase:
    """The case as the magnets' newest reading and the caps' inputs give it."""
    signal = Signal.objects.filter(instrument=instrument).order_by("-known_at").first()
    reading: dict[str, Any] = (signal.reading.get("magnet") or {}) if signal is not None else {}
    found = read_leverage_inputs(instrument)
    ratio = reading.get("volatility_ratio")
    return LeverageCase(
        price=price,
        magnet_price=reading.get("target"),
        atr=signal.atr if signal is not None else None,
        strength=reading.get("strength"),
        conflict=reading.get("conflict"),
        volatility=max(0.0, ratio - 1.0) if ratio is not None else None,
        volatility_ratio=ratio,
        is_stale=signal is None or utc_now() - signal.known_at > READING_AGE_MAX,
        sigma_ewma=found.sigma_ewma,
        sigma_sample=found.sigma_sample,
        maintenance_rate=found.maintenance_rate,
        venue_cap=found.venue_cap,
        client_class_cap=found.class_cap,
        evidence_state=found.evidence_state,
        evidence_policy=found.evidence_policy,
    )


def _row_of(
    instrument: Instrument, price: Decimal, decision: LeverageDecision, at: datetime
) -> LeverageReading:
    case = decision.case
    binding = next((cap.name.value for cap in decision.caps if cap.is_binding), "")
    reasons = [reason.value for reason in decision.reasons]
    return LeverageReading(
        instrument=instrument,
        at=at,
        price=price,
        leverage=decision.leverage,
        tier=decision.tier,
        binding=binding or (reasons[0] if reasons else "formula"),
        caps=[
            {
                "name": cap.name.value,
                "value": None if cap.value is None else round(cap.value, 4),
                "status": cap.status.value,
                "words": cap.words,
            }
            for cap in decision.caps
        ],
        inputs={
            "target": case.magnet_price,
            "atr": case.atr,
            "strength": case.strength,
            "conflict": case.conflict,
            "volatility": case.volatility,
            "sigma": max(filter(None, (case.sigma_ewma, case.sigma_sample)), default=None),
            "reasons": reasons,
        },
    )


def _essence(row: LeverageReading) -> tuple[Any, ...]:
    """What a person would call a change."""
    caps = [(cap["name"], cap["status"], _rounded(cap["value"])) for cap in row.caps]
    return round(row.leverage, PLACES), row.tier, row.binding, caps


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, PLACES - 1)
