"""A judged sweep as plain data, for its page, the API and ``--json``."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np

from trading.domain.research.figures import clean
from trading.domain.research.parameters import text_of
from trading.domain.research.search import OBJECTIVES, find_front
from trading.domain.research.space import SweepSpace
from trading.domain.research.surface import name_shape, tabulate_surface
from trading.domain.research.sweep import Sweep
from trading.domain.research.tried import Variant

SHOWN_MAX = 30


def describe_sweep(sweep: Sweep) -> dict[str, Any]:
    """A sweep as plain data: the best variants, the surface, how far to believe it."""
    order = sorted(range(len(sweep.variants)), key=lambda k: -sweep.variants[k].seen)
    swept = list(sweep.variants[0].parameters)
    surface = None
    if len(swept) >= 2:
        surface = tabulate_surface(sweep.variants, swept[0], swept[1])
    elif swept:
        surface = tabulate_surface(sweep.variants, swept[0], swept[0])
        surface["rows"] = [_diagonal(surface)]
    facts = sweep.variants[sweep.best].facts
    plain: dict[str, Any] = clean(
        {
            "variants": len(sweep.variants),
            "refused": sweep.refused,
            "cut_ms": sweep.cut_ms,
            "best": _plain_variant(sweep.variants[sweep.best]),
            "facts": asdict(facts) if facts else None,
            "top": [_plain_variant(sweep.variants[k]) for k in order[:SHOWN_MAX]],
            "surface": surface,
            "neighbours": sweep.neighbours,
            "shape": name_shape(
                best=sweep.variants[sweep.best].seen,
                neighbours=sweep.neighbours,
                median=median(variant.seen for variant in sweep.variants),
            ),
            "overfitting": asdict(sweep.overfitting) if sweep.overfitting else None,
            "walks": [
                {
                    "kind": walk.kind,
                    "sharpe": walk.sharpe,
                    "sharpe_seen": walk.sharpe_seen_mean,
                    "stretches": walk.stretches,
                }
                for walk in sweep.walks
            ],
        }
    )
    return plain


def describe_front(sweep: Sweep, space: SweepSpace) -> dict[str, Any]:
    """How a search chose: its objectives and, where there are several, the best trade-offs."""
    if space.search == "grid":
        return {}
    names = space.objectives
    values = np.array([[OBJECTIVES[name](v) for name in names] for v in sweep.variants])
    front = find_front(values)[:SHOWN_MAX] if len(names) > 1 else []
    return {
        "search": space.search,
        "objectives": list(names),
        "front": [
            _plain_variant(sweep.variants[row])
            | {"objectives": dict(zip(names, values[row].tolist(), strict=True))}
            for row in front
        ],
    }


def _plain_variant(variant: Variant) -> dict[str, Any]:
    return {
        "parameters": {name: text_of(value) for name, value in variant.parameters.items()},
        "seen": variant.seen,
        "unseen": variant.unseen,
        "total_return": variant.total_return,
        "drawdown_max": variant.drawdown_max,
        "trades": variant.trades,
    }


def _diagonal(surface: dict[str, Any]) -> dict[str, Any]:
    """One parameter alone: its values side by side."""
    cells = [row["cells"][k] for k, row in enumerate(surface["rows"])]
    return {"name": "", "cells": cells}
