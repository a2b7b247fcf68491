"""The caps of an instrument that no bar changes: venue, class, and the evidence where it acts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from django.conf import settings

from magnetfund.kernel.clock import to_milliseconds, utc_now
from risk.domain.leverage import (
    EvidencePolicy,
    EvidenceState,
    class_leverage_max,
    compute_evidence_cap,
    policy_of_level,
    resolve_evidence_policy,
)
from risk.domain.limits import Limits
from trading.domain.evidence import StrengthCalibration, derive_evidence_state
from trading.domain.magnets import DEFAULT_PARAMETERS
from trading.models import Instrument, ResearchRun, RunState


def evidence_policy(limits: Limits) -> EvidencePolicy:
    """How the evidence acts on the running book: a figure of its limits, and enforced in live."""
    return resolve_evidence_policy(
        is_live=settings.TRADING_MODE == "live", chosen=policy_of_level(limits.evidence_level)
    )


def read_evidence_state(
    instrument: Instrument, *, at: datetime | None = None
) -> EvidenceState | None:
    """What the newest stored study of an instrument's magnets says; None where none was made.

    A case does not name the kind of its magnet, so the weakest kind that was judged decides.
    """
    run = _newest_study(instrument)
    if run is None:
        return None
    states = {
        derive_evidence_state(
            judged=EvidenceState(row["state"]),
            judged_at=row["judged_at"],
            judged_version=row["rules_version"],
            at=to_milliseconds(at or utc_now()),
            rules_version=DEFAULT_PARAMETERS.version,
        )
        for row in run.result.get("judged", ())
    }
    if not states or EvidenceState.UNPROVEN in states:
        return EvidenceState.UNPROVEN
    return EvidenceState.EXPIRED if EvidenceState.EXPIRED in states else EvidenceState.SUPPORTED


def read_strength_calibration(instrument: Instrument) -> StrengthCalibration | None:
    """Strength to chance, as the newest study of the instrument fitted it; None without one."""
    run = _newest_study(instrument)
    told = run.result.get("calibration") if run is not None else None
    if told is None:
        return None
    return StrengthCalibration(
        strengths=np.array([step["to"] for step in told["steps"]], dtype=np.float64),
        chances=np.array([step["chance"] for step in told["steps"]], dtype=np.float64),
        counts=np.array([step["races"] for step in told["steps"]], dtype=np.float64),
        races=told["races"],
    )


def _newest_study(instrument: Instrument) -> ResearchRun | None:
    return (
        ResearchRun.objects.filter(
            kind=ResearchRun.Kind.EVIDENCE,
            state=RunState.DONE,
            request__instrument=instrument.symbol,
        )
        .only("result")
        .order_by("-id")
        .first()
    )


def find_evidence_caps(
    instruments: Sequence[Instrument], *, limits: Limits, at: datetime
) -> dict[str, float]:
    """Leverage that the evidence allows on each symbol; empty where it does not act."""
    if evidence_policy(limits) is not EvidencePolicy.ENFORCED:
        return {}
    return {
        item.symbol: compute_evidence_cap(state=read_evidence_state(item, at=at))
        for item in instruments
    }


def find_venue_cap(instrument: Instrument) -> float | None:
    """Leverage that the venue allows in the instrument's smallest margin tier, where stored."""
    tiers = instrument.maintenance_tiers or []
    known = [float(tier[2]) for tier in tiers if len(tier) > 2]
    return max(known, default=None)


def find_fixed_cap(instrument: Instrument) -> float | None:
    """The smaller of the venue's and the class's cap; None where neither sets one."""
    caps = (find_venue_cap(instrument), class_leverage_max(instrument.kind))
    return min((cap for cap in caps if cap is not None), default=None)
