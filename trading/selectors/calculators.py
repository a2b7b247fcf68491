"""Kelly, margin and leverage of a case that somebody types: the risk functions, nothing stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Sum

from magnetfund.kernel.errors import InvalidInput
from risk.domain.leverage import (
    LeverageCase,
    LeverageDecision,
    choose_leverage,
    class_leverage_max,
)
from risk.domain.liquidation import IsolatedCase, compute_liquidation_chance
from risk.domain.margin import (
    compute_all_in_liquidation_price,
    compute_cfd_close_out_price,
    compute_liquidation_price,
    compute_maintenance_margin,
    evaluate_cfd_account,
    flat_tier,
)
from risk.domain.ratios import (
    SharpeFacts,
    compute_fall_probability,
    compute_kelly_binary,
    compute_kelly_continuous,
    compute_kelly_shrinkage,
)
from risk.services.limits import limits_in_force
from trading.models import TradeDay
from trading.selectors.book import require_instrument
from trading.services.leverage_caps import read_strength_calibration
from trading.services.leverage_inputs import read_leverage_inputs

FRACTION_MAX = 0.5
DAYS_MAX = 365.0
DAYS_A_YEAR = 365.0
LEVERAGE_ASKED_MAX = 125.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """Win rate and payoff of the book's closed trades, also as a form shows them."""

    trades: int
    win_rate: float
    payoff: float

    @property
    def values(self) -> dict[str, float]:
        """As the calculator takes them."""
        return {"win_rate": self.win_rate, "payoff": self.payoff, "trades": float(self.trades)}

    @property
    def usual(self) -> dict[str, str]:
        """As its form shows them."""
        return {
            "win_rate": f"{100 * self.win_rate:.2f}",
            "payoff": f"{self.payoff:.3f}",
            "trades": str(self.trades),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class KellyAnswer:
    """Shares of equity to lose at the stop; ``full`` <= 0 means that there is nothing to bet on.

    ``edge`` is the mean result of a trade in units of its loss.  ``kept`` is what estimation error
    leaves of ``full``; ``stake`` the chosen fraction of that.  ``half`` is the chance of ever
    standing at half of the start at that fraction of Kelly, if the odds were exact.
    """

    full: float
    edge: float
    kept: float
    stake: float
    half: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthAnswer:
    """Exposures as multiples of equity: Kelly's, what error leaves of it, the chosen share."""

    full: float
    kept: float
    stake: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginAnswer:
    """Money in quote currency; a price is None where no positive one does it.

    ``chance`` is that of touching the isolated price within the days, without drift and funding.
    ``close_out`` and ``margin_level`` are those of a CFD account that holds the wallet.
    """

    notional: float
    initial_margin: float
    maintenance_margin: float
    isolated: float | None
    isolated_move: float | None
    cross: float | None
    cross_move: float | None
    close_out: float | None
    close_out_move: float | None
    margin_level: float | None
    state: str
    chance: float


def observed_odds(book: str) -> Odds | None:
    """Odds of the closed trades of a book; None until some have won and some have lost."""
    found = TradeDay.objects.filter(book=book).aggregate(
        **{name: Sum(name) for name in ("won", "lost", "won_net", "lost_net")}
    )
    if not found["won"] or not found["lost"]:
        return None
    count = found["won"] + found["lost"]
    payoff = float((found["won_net"] / found["won"]) / (-found["lost_net"] / found["lost"]))
    return Odds(trades=count, win_rate=found["won"] / count, payoff=payoff)


def calculate_kelly(
    *, win_rate: float, payoff: float, trades: float, fraction: float
) -> KellyAnswer:
    """What Kelly says of such odds, and what is left of it.  Raises :class:`InvalidInput`."""
    if not 0.0 < fraction <= FRACTION_MAX:
        raise InvalidInput("the share of Kelly lies above 0 and at most 50 %", code="bad_fraction")
    if not (math.isfinite(trades) and trades >= 1):
        raise InvalidInput("at least one trade stands behind the odds", code="bad_trades")
    full = compute_kelly_binary(win_probability=win_rate, payoff=payoff)
    edge = win_rate * payoff - (1.0 - win_rate)
    variance = win_rate * payoff**2 + (1.0 - win_rate) - edge**2
    if full <= 0.0 or variance <= 0.0:
        return KellyAnswer(full=full, edge=edge, kept=0.0, stake=0.0, half=None)
    facts = SharpeFacts(sharpe=edge / math.sqrt(variance), periods=int(trades))
    kept = full * compute_kelly_shrinkage(facts=facts)
    return KellyAnswer(
        full=full,
        edge=edge,
        kept=kept,
        stake=fraction * kept,
        half=compute_fall_probability(kelly_multiple=fraction, fraction=0.5),
    )


def calculate_growth(
    *, mean: float, rate: float, deviation: float, years: float, fraction: float
) -> GrowthAnswer:
    """The exposure at which annual returns with such moments grow fastest, and what is left of it.

    ``mean``, ``rate`` and ``deviation`` are annual fractions.  Raises :class:`InvalidInput`.
    """
    if not 0.0 < fraction <= FRACTION_MAX:
        raise InvalidInput("the share of Kelly lies above 0 and at most 50 %", code="bad_fraction")
    if not (math.isfinite(years) and 0.0 < years <= 200.0):
        raise InvalidInput("the years of the record lie above 0", code="bad_years")
    full = compute_kelly_continuous(mean=mean, rate=rate, deviation=deviation)
    # The evidence of T years at an annual ratio S is T S^2, in whatever steps it was gathered.
    facts = SharpeFacts(
        sharpe=(mean - rate) / deviation / math.sqrt(DAYS_A_YEAR),
        periods=max(2, round(years * DAYS_A_YEAR)),
    )
    kept = max(0.0, full) * compute_kelly_shrinkage(facts=facts)
    return GrowthAnswer(full=full, kept=kept, stake=fraction * kept)


def calculate_margin(
    *,
    side: int,
    quantity: float,
    entry_price: float,
    leverage: float,
    maintenance_rate: float,
    wallet: float,
    sigma: float,
    days: float,
) -> MarginAnswer:
    """Margin and liquidation prices of one position.  Raises :class:`InvalidInput`."""
    if not 1.0 <= leverage <= LEVERAGE_ASKED_MAX:
        raise InvalidInput(f"leverage is 1 to {LEVERAGE_ASKED_MAX:g}", code="bad_leverage")
    if not 0.0 < days <= DAYS_MAX:
        raise InvalidInput(f"days lie above 0 and at most {DAYS_MAX:g}", code="bad_days")
    if not wallet > 0.0:
        raise InvalidInput("the wallet must be positive", code="bad_wallet")
    tiers = flat_tier(rate=maintenance_rate)
    isolated = compute_all_in_liquidation_price(
        entry_price=entry_price, side=side, leverage=leverage, maintenance_rate=maintenance_rate
    )
    cross = compute_liquidation_price(
        side=side, quantity=quantity, entry_price=entry_price, wallet_balance=wallet, tiers=tiers
    )
    close_out = compute_cfd_close_out_price(
        balance=wallet, side=side, quantity=quantity, entry_price=entry_price, leverage=leverage
    )
    notional = quantity * entry_price
    account = evaluate_cfd_account(balance=wallet, open_profit=0.0, used_margin=notional / leverage)
    chance = compute_liquidation_chance(
        case=IsolatedCase(
            side=side,
            leverage=leverage,
            maintenance_rate=maintenance_rate,
            volatility=sigma,
            years=days / DAYS_A_YEAR,
        )
    )

    def move(price: float | None) -> float | None:
        return None if price is None else price / entry_price - 1.0

    return MarginAnswer(
        notional=notional,
        initial_margin=notional / leverage,
        maintenance_margin=compute_maintenance_margin(tiers=tiers, notional=notional),
        isolated=isolated,
        isolated_move=move(isolated),
        cross=cross,
        cross_move=move(cross),
        close_out=close_out,
        close_out_move=move(close_out),
        margin_level=account.margin_level,
        state=account.state.value,
        chance=chance,
    )


def calculate_leverage(book: str, given: Mapping[str, Any]) -> LeverageDecision:
    """Leverage of a case under the limits in force, with every cap that its instrument gives."""
    return choose_leverage(
        case=LeverageCase(
            **_instrument_inputs(given),
            price=given["current_price"],
            magnet_price=given["primary_magnet_price"],
            atr=given["atr"],
            strength=given["magnet_strength"],
            conflict=given["conflict_index"],
            volatility=given["volatility_pressure"],
        ),
        limits=limits_in_force(book),
    )


def calibrate_given_strength(given: Mapping[str, Any]) -> float | None:
    """The calibrated strength (0..100) of a case; None without a study of a named instrument."""
    if not given.get("instrument"):
        return None
    found = read_strength_calibration(require_instrument(given["instrument"]))
    return None if found is None else found.calibrate(given["magnet_strength"])


def _instrument_inputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the named instrument, or else the kind alone, adds to the case."""
    if not given.get("instrument"):
        kind = given.get("kind")
        return {"client_class_cap": class_leverage_max(kind) if kind else None}
    instrument = require_instrument(given["instrument"])
    if given.get("kind") and given["kind"] != instrument.kind:
        raise InvalidInput(
            f"{instrument.symbol} is of kind {instrument.kind}, not {given['kind']}",
            code="kind_differs",
        )
    found = read_leverage_inputs(instrument)
    return {
        "sigma_ewma": found.sigma_ewma,
        "sigma_sample": found.sigma_sample,
        "maintenance_rate": found.maintenance_rate,
        "venue_cap": found.venue_cap,
        "client_class_cap": found.class_cap,
        "evidence_state": found.evidence_state,
        "evidence_policy": found.evidence_policy,
    }
