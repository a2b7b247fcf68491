"""What an instrument contributes to a leverage decision: volatility, maintenance margin, caps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from magnetfund.kernel.clock import utc_now
from risk.domain.leverage import EvidencePolicy, EvidenceState, class_leverage_max
from risk.services.limits import limits_in_force
from trading.domain.indicators import realised_volatility, volatility_ratio
from trading.models import Instrument
from trading.services.book_setup import instrument_rules
from trading.services.candle_store import load_candles
from trading.services.leverage_caps import (
    evidence_policy,
    find_venue_cap,
    read_evidence_state,
)

HOURS_PER_YEAR = 8_760
#: Days of hourly candles that are read: the 720 returns of the long measure, and room for gaps.
DAYS_READ = 40
#: A volatility older than this is no input of a decision now.
AGE_MAX = timedelta(hours=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageInputs:
    """Annualised volatilities of log returns, maintenance rate, and caps in notional per equity.

    None is "not known": the cap that needs it is then not evaluated.
    """

    sigma_ewma: float | None
    sigma_sample: float | None
    maintenance_rate: float
    venue_cap: float | None
    class_cap: float | None
    evidence_state: EvidenceState | None
    evidence_policy: EvidencePolicy


def read_leverage_inputs(instrument: Instrument) -> LeverageInputs:
    """The inputs of one instrument from its stored hourly candles and its row."""
    ewma, sample = _find_volatilities(instrument)
    return LeverageInputs(
        sigma_ewma=ewma,
        sigma_sample=sample,
        maintenance_rate=instrument_rules(instrument).maintenance_rate,
        venue_cap=find_venue_cap(instrument),
        class_cap=class_leverage_max(instrument.kind),
        evidence_state=read_evidence_state(instrument),
        evidence_policy=evidence_policy(limits_in_force(settings.MAGNET_BOOK)),
    )


def _find_volatilities(instrument: Instrument) -> tuple[float | None, float | None]:
    now = utc_now()
    start = int((now - timedelta(days=DAYS_READ)).timestamp() * 1000)
    candles = load_candles(instrument, "1h", start_ms=start)
    newest_age = now.timestamp() - candles.open_time[-1] / 1000 if candles.open_time.size else None
    if newest_age is None or newest_age > AGE_MAX.total_seconds():
        return None, None
    sample = float(realised_volatility(close=candles.close)[-1])
    ewma = float(volatility_ratio(close=candles.close)[-1]) * sample
    scale = math.sqrt(HOURS_PER_YEAR)
    return _positive(ewma * scale), _positive(sample * scale)


def _positive(value: float) -> float | None:
    return value if math.isfinite(value) and value > 0 else None
