"""What makes a trial: two runs of one identity are counted once, whatever asked for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from magnetfund.kernel.identifiers import content_hash
from trading.domain.engine.rules import LEVERAGE_CEILING, EngineRules
from trading.domain.research.parameters import parameters_of, text_of
from trading.domain.research.request import BacktestRequest
from trading.domain.strategies.base import Strategy

#: Parts of a request that make no other trial: the bars and the parameters stand for themselves.
NO_TRIAL = frozenset({"sleeves", "controls", "start_ms", "end_ms", "unseen_ms", "gap_share_max"})


def plain_rules(rules: EngineRules) -> dict[str, Any]:
    """The rules for the hash of the inputs; a cap that changes nothing is left out."""
    plain = asdict(rules)
    for item in plain["instruments"]:
        if item["leverage_cap"] == LEVERAGE_CEILING:
            del item["leverage_cap"]
    return plain


def hash_trial_base(
    inputs: Mapping[str, Any],
    *,
    request: BacktestRequest,
    strategies: Sequence[Strategy],
    rules: EngineRules,
) -> str:
    """The hash of what a trial stands on beside its parameters.

    It is made of a run's ``inputs`` without what changes no result, or is said by the parameters.
    """
    asked = {name: value for name, value in request.plain().items() if name not in NO_TRIAL}
    slots = [(slot.strategy, slot.instrument, slot.risk_share) for slot in rules.slots]
    return content_hash(
        {
            **{name: value for name, value in inputs.items() if name != "strategies"},
            "request": asked,
            "rules": {**plain_rules(rules), "slots": slots},
            "sleeves": [
                [sleeve.strategy, strategy.traits.version]
                for sleeve, strategy in zip(request.sleeves, strategies, strict=True)
            ],
        }
    )


def hash_trial(
    base: str, strategies: Sequence[Strategy], parameters: Mapping[str, Any] | None = None
) -> str:
    """The hash of a trial: its base and every parameter of its strategies, given or by default.

    A backtest and the variant of a sweep that ran the same have one hash.  ``parameters`` take the
    place of those of the only strategy.
    """
    whole = [
        {item.name: text_of(getattr(strategy, item.name)) for item in parameters_of(type(strategy))}
        for strategy in strategies
    ]
    if parameters is not None:
        whole[0].update((name, text_of(value)) for name, value in parameters.items())
    return content_hash({"base": base, "parameters": whole})
