"""Sweeps as a person, a command or the API asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import InvalidInput
from trading.domain.research.parameters import text_of
from trading.domain.research.request import BacktestRequest
from trading.domain.research.run import build
from trading.domain.research.search import read_objectives
from trading.domain.research.space import SweepSpace, check_sweepable, read_space
from trading.models import ResearchRun
from trading.services.instruments import get_instrument
from trading.services.research.backtests import FROM_FILE, store_question
from trading.services.research.catalogue import Catalogue, load_catalogue

#: Variants that are looked at for one that can be built.
BASES_TRIED = 1_000


def ask_sweep(
    *,
    request: BacktestRequest,
    space: dict[str, str],
    count: int,
    seed: int,
    actor: Actor,
    search: str = "grid",
    objectives: Sequence[str] = (),
    by_person: bool = True,
    stored_candles: bool = True,
) -> ResearchRun:
    """Check a sweep and put it into the queue; raises :class:`InvalidInput`, ``NotAllowed``.

    Without ``stored_candles`` the asking process alone can work on it.
    """
    if by_person:
        actor.require(Capability.RESEARCH_RUN)
    catalogue = load_catalogue()
    check_sweepable(request)
    sleeve = request.sleeves[0]
    asked: dict[str, Any] = {"space": space, "count": count, "seed": seed}
    if search != "grid":
        asked |= {"search": search, "objectives": list(read_objectives(objectives))}
    elif objectives:
        raise InvalidInput("objectives belong to a search, --search tpe", code="bad_search")
    if sleeve.strategy not in catalogue.builders:
        build(catalogue.builders, sleeve.strategy, sleeve.parameters)
    swept = read_asked(catalogue.builders[sleeve.strategy], asked)
    request = _with_base(request, catalogue, swept)
    for name in request.instruments if stored_candles else ():
        get_instrument(name)
    source = {} if stored_candles else {FROM_FILE: True}
    return store_question(
        ResearchRun.Kind.SWEEP,
        request,
        actor,
        catalogue,
        sweep=asked,
        **source,
    )


def _with_base(
    request: BacktestRequest, catalogue: Catalogue, space: SweepSpace
) -> BacktestRequest:
    """The request with parameters that can be built: the given ones, or where a default does not go
    with them (a fast window above the slow one) the first variant that can be.

    Raises what the given ones raise where no variant can be built either.
    """
    sleeve = request.sleeves[0]
    try:
        build(catalogue.builders, sleeve.strategy, sleeve.parameters)
    except InvalidInput as refusal:
        for place in range(min(space.size, BASES_TRIED)):
            given = {**sleeve.parameters, **space.at(place)}
            try:
                build(catalogue.builders, sleeve.strategy, given)
            except InvalidInput:
                continue
            plain = {name: text_of(value) for name, value in given.items()}
            return replace(request, sleeves=(replace(sleeve, parameters=plain),))
        raise refusal from None
    return request


def read_asked(builder: Any, asked: Mapping[str, Any]) -> SweepSpace:
    """The space of a stored question; raises :class:`InvalidInput` for a bad one.

    Variants are numbered by the order of the parameters, so every process must read the same one:
    that in which PostgreSQL keeps the names of a JSON object, by length and then by letter.
    """
    names = sorted(asked["space"], key=lambda name: (len(name), name))
    return read_space(
        builder,
        {name: asked["space"][name] for name in names},
        count=asked["count"],
        seed=asked["seed"],
        search=asked.get("search", "grid"),
        objectives=tuple(asked.get("objectives", ("sharpe",))),
    )
