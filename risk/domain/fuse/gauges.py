"""Gauges: how far each trigger is from its threshold, with warnings before it fires.

A gauge never says "ok" for something that was not measured: it says ``no_source``, or
``not_tested`` where the trigger needs an open position and there is none.
"""

from __future__ import annotations

import math

from risk.domain.fuse.types import Gauge, GaugeStatus, Trigger
from risk.domain.limits import LimitSet


def is_number(value: float | None) -> bool:
    """Whether a reading is there and finite."""
    return value is not None and math.isfinite(value)


def build_gauge(
    *,
    trigger: Trigger,
    scope: str,
    value: float,
    threshold: float,
    used_share: float,
    is_over: bool,
    limits: LimitSet,
    words: str,
    room: float | None = None,
    position_id: str | None = None,
) -> Gauge:
    """A measured trigger: over, warning from ``warning_share`` of its threshold, or ok.

    ``room`` defaults to threshold - value.
    """
    if is_over:
        status = GaugeStatus.OVER
    elif used_share >= float(limits.warning_share):
        status = GaugeStatus.WARN
    else:
        status = GaugeStatus.OK
    return Gauge(
        trigger=trigger,
        scope=scope,
        status=status,
        value=value,
        threshold=threshold,
        room=threshold - value if room is None else room,
        used_share=used_share,
        words=words,
        position_id=position_id,
    )


def build_blank(
    *,
    trigger: Trigger,
    scope: str,
    status: GaugeStatus,
    words: str,
    threshold: float | None = None,
    position_id: str | None = None,
) -> Gauge:
    """A trigger without a value: ``no_source`` or ``not_tested``."""
    return Gauge(
        trigger=trigger,
        scope=scope,
        status=status,
        value=None,
        threshold=threshold,
        room=None,
        used_share=None,
        words=words,
        position_id=position_id,
    )
