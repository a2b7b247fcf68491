"""The leverage equation of the newest reading with its real numbers, and what came of it."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from magnetfund.web.desk.charts import choose_zones, direction_of, kind_words
from magnetfund.web.desk.order_words import say_decision
from risk.domain.leverage import LeverageCase, choose_leverage
from risk.domain.limits import Limits
from trading.models import Instrument, Proposal, Signal
from trading.services.leverage_caps import read_strength_calibration


def explain_signal(instrument: Instrument, signal: Signal | None, limits: Limits) -> dict[str, Any]:
    """Zones as a table, the decision of leverage, the sleeves' words, the newest proposals."""
    proposals = list(
        Proposal.objects.filter(instrument=instrument, book=settings.MAGNET_BOOK).order_by(
            "-decided_at"
        )[:6]
    )
    if signal is None:
        return {"proposals": proposals}
    found = (signal.reading or {}).get("map") or {}
    side = direction_of(signal)
    reading = found.get("long" if side >= 0 else "short") or {}
    target = reading.get("target")
    decision = None
    if target is not None and signal.atr:
        ratio = found.get("volatility_ratio")
        decision = choose_leverage(
            case=LeverageCase(
                price=signal.close,
                magnet_price=target["price"],
                atr=signal.atr,
                strength=target["strength"],
                conflict=reading.get("conflict"),
                volatility=max(0.0, ratio - 1.0) if ratio is not None else None,
                volatility_ratio=ratio,
                opposite_zones=reading.get("opposite_zones"),
            ),
            limits=limits,
        )
    sleeves = [
        {
            "code": code,
            "direction": {1: "long", -1: "short"}.get(plain.get("direction") or 0, "none"),
            "words": say_decision(plain.get("reason", "")),
            "stop": plain.get("stop"),
            "target": plain.get("target"),
        }
        for code, plain in sorted((signal.reading or {}).items())
        if isinstance(plain, dict) and "reason" in plain
    ]
    calibration = read_strength_calibration(instrument)
    zones = [
        {**zone, "words": kind_words(zone["members"][0]["kind"]) if zone["members"] else "Zone",
         "is_above": zone["price"] > signal.close,
         "calibrated": calibration.calibrate(zone["strength"]) if calibration else None}
        for zone in choose_zones(found)
    ]  # fmt: skip
    return {
        "proposals": proposals,
        "sleeves": sleeves,
        "zones": zones,
        "zone_count": len(found.get("zones", ())),
        "decision": decision,
        "target": target,
        "calibration": calibration,
        "side_words": "long" if side > 0 else "short",
        "caps": [
            {
                "cap": cap,
                "share": min(1.0, (cap.value or 0.0) / 5.0),
                "name": cap.name.value.replace("_", " ").capitalize(),
            }
            for cap in (decision.caps if decision is not None else ())
        ],
    }
