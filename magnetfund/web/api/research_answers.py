"""The answers of research over the API, named field by field.

Where the domain has a dataclass the fields are those of it, so that a figure added there is named
here.  What JSON cannot say (NaN, infinity) is null; fields of a result stand once a run is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from trading.domain.backtest.result import Counts, Metrics
from trading.domain.research.controls import ControlFigures
from trading.domain.research.coverage import Coverage
from trading.domain.research.request import BacktestRequest, SleeveRequest
from trading.domain.research.trials import Overfitting, TrialFacts, Verdict
from trading.models import ResearchRun, RunState

Answer = serializers.Serializer[dict[str, Any]]


@extend_schema_field(
    {
        "oneOf": [
            {"type": "number"},
            {"type": "boolean"},
            {"type": "string"},
            {"type": "array", "items": {"type": "number"}},
        ]
    }
)
class ParameterValue(serializers.JSONField):
    """A parameter of a strategy as its kind is written in JSON."""


def _number() -> serializers.FloatField:
    return serializers.FloatField(allow_null=True)


def _later(kind: type[serializers.Field[Any, Any, Any, Any]], **options: Any) -> Any:
    """A field that stands once the run is done."""
    return kind(required=False, **options)


def _texts() -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField())


def _column() -> serializers.ListField:
    return serializers.ListField(child=_number())


def _counts() -> serializers.DictField:
    return serializers.DictField(child=serializers.IntegerField())


_FIELD_OF: Mapping[Any, Any] = {
    int: serializers.IntegerField,
    float: _number,
    str: serializers.CharField,
    bool: serializers.BooleanField,
    int | None: lambda: serializers.IntegerField(allow_null=True),
    float | None: _number,
    str | None: lambda: serializers.CharField(allow_null=True, required=False),
    Mapping[str, int]: _counts,
}


def answer_of(kind: type, name: str, **own: serializers.Field[Any, Any, Any, Any]) -> type[Answer]:
    """A serializer with the fields of a dataclass; ``own`` adds to them or stands for some."""
    hints = get_type_hints(kind)
    made = {
        item.name: _FIELD_OF[hints[item.name]]() for item in fields(kind) if item.name not in own
    }
    return type(name, (serializers.Serializer,), {**made, **own})


RunMetrics = answer_of(Metrics, "RunMetrics")
RunCounts = answer_of(Counts, "RunCounts")
RunCoverage = answer_of(Coverage, "RunCoverage", missing_share=serializers.FloatField())
RunControl = answer_of(ControlFigures, "RunControl")
SweepFacts = answer_of(TrialFacts, "SweepFacts")
SweepOverfitting = answer_of(Overfitting, "SweepOverfitting")
AskedSleeve = answer_of(
    SleeveRequest,
    "AskedSleeve",
    parameters=serializers.DictField(child=ParameterValue(), help_text="By name."),
)


class AskedSweep(Answer):
    space = serializers.DictField(child=serializers.CharField(), help_text="Values by parameter.")
    count = serializers.IntegerField()
    seed = serializers.IntegerField()
    search = serializers.CharField(required=False)
    objectives = serializers.ListField(child=serializers.CharField(), required=False)


_ASKED = {
    "sleeves": AskedSleeve(many=True),
    "instruments": _texts(),
    "controls": serializers.IntegerField(required=False),
}
AskedBacktest = answer_of(BacktestRequest, "AskedBacktest", **_ASKED)
AskedVariants = answer_of(BacktestRequest, "AskedVariants", **_ASKED, sweep=AskedSweep())


class PeriodFigures(Answer):
    total_return = _number()
    cagr = _number()
    sharpe = _number()
    drawdown_max = _number()


class RunPeriod(Answer):
    name = serializers.CharField()
    first_ms = serializers.IntegerField()
    last_ms = serializers.IntegerField()
    run = PeriodFigures()
    hold = PeriodFigures(help_text="Buying and holding.")
    trades = serializers.IntegerField()


class RunCosts(Answer):
    before = _number()
    fees = _number()
    slippage = _number()
    funding = _number()
    net = _number()


class RunYear(Answer):
    year = serializers.CharField()
    months = _column()
    whole = _number()


class RunSeries(Answer):
    """Thinned for a chart; ``t`` in seconds."""

    t = serializers.ListField(child=serializers.IntegerField())
    equity = _column()
    drawdown = _column()
    hold = _column()
    exposure = _column()


class RunVerdict(Answer):
    code = serializers.ChoiceField(choices=[item.value for item in Verdict])
    headline = serializers.CharField()
    detail = serializers.CharField()
    trials = serializers.IntegerField()
    sharpe = _number()
    luck = _number()
    deflated_sharpe = _number()
    track_record_years = _number()


class ResearchAnswer(Answer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=ResearchRun.Kind.choices)
    state = serializers.ChoiceField(choices=RunState.choices)
    title = serializers.CharField()
    family = serializers.CharField()
    strategy_version = serializers.CharField()
    inputs_hash = serializers.CharField()
    data_hash = serializers.CharField()
    code_version = serializers.CharField()
    wall_ms = serializers.IntegerField(allow_null=True)
    progress = serializers.FloatField(allow_null=True)
    refusal_code = serializers.CharField()
    refusal = serializers.CharField()
    same_as = _later(
        serializers.IntegerField, allow_null=True, help_text="The run with equal inputs."
    )
    verdict = _later(RunVerdict)


class BacktestAnswer(ResearchAnswer):
    request = AskedBacktest()
    metrics = _later(RunMetrics)
    periods = _later(RunPeriod, many=True)
    counts = _later(RunCounts)
    costs = _later(RunCosts)
    months = _later(RunYear, many=True)
    controls = _later(RunControl, many=True)
    ambiguous_share = _later(serializers.FloatField, allow_null=True)
    coverage = _later(RunCoverage, many=True)
    assumptions = _later(serializers.ListField, child=serializers.CharField())
    parameters = _later(
        serializers.DictField,
        child=serializers.DictField(child=serializers.CharField()),
        help_text="By strategy, then by name.",
    )
    series = _later(RunSeries)


class VariantFigures(Answer):
    parameters = serializers.DictField(child=serializers.CharField())
    seen = _number()
    unseen = _number()
    total_return = _number()
    drawdown_max = _number()
    trades = serializers.IntegerField()


class FrontFigures(VariantFigures):
    objectives = serializers.DictField(child=_number())


class SurfaceRow(Answer):
    name = serializers.CharField(allow_blank=True)
    cells = _column()


class SweepSurface(Answer):
    across = serializers.CharField()
    down = serializers.CharField()
    columns = _texts()
    rows = SurfaceRow(many=True)


class SweepWalk(Answer):
    kind = serializers.CharField()
    sharpe = _number()
    sharpe_seen = _number()
    stretches = serializers.IntegerField()


class SweepFindings(Answer):
    variants = serializers.IntegerField()
    refused = serializers.IntegerField()
    cut_ms = serializers.IntegerField()
    best = VariantFigures()
    facts = SweepFacts(allow_null=True)
    top = VariantFigures(many=True)
    surface = SweepSurface(allow_null=True)
    neighbours = _number()
    shape = serializers.CharField()
    overfitting = SweepOverfitting(allow_null=True)
    walks = SweepWalk(many=True)
    search = serializers.CharField(required=False)
    objectives = serializers.ListField(child=serializers.CharField(), required=False)
    front = FrontFigures(many=True, required=False)


class SweepChunks(Answer):
    variants = serializers.IntegerField()
    variants_done = serializers.IntegerField()
    workers = serializers.IntegerField()
    new_trials = serializers.IntegerField()


class SweepAnswer(ResearchAnswer):
    request = AskedVariants()
    chunks = _later(SweepChunks, allow_null=True)
    sweep = _later(SweepFindings)
    space = _later(serializers.DictField, child=serializers.CharField())
    new_trials = _later(serializers.IntegerField)
