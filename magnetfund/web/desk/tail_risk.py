"""Tail risk of the book: five methods on its daily results, and whether they held."""

from __future__ import annotations

import numpy as np
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame, equity_of
from risk.domain.tail_risk import WINDOW_DAYS, TailMethod, compare_tails
from trading import selectors

NAMES = {
    TailMethod.HISTORICAL: ("Historical", "the losses of the last days as they were"),
    TailMethod.NORMAL: ("Normal", "their mean and deviation, without fat tails"),
    TailMethod.CORNISH_FISHER: ("Cornish-Fisher", "the normal law bent by skewness and kurtosis"),
    TailMethod.EWMA: ("Weighted volatility", "recent days count more, decay 0.94"),
    TailMethod.FILTERED_HISTORICAL: (
        "Filtered historical",
        "past losses at the volatility of now",
    ),
}
YEARS_OF_DAYS = 400


@require_safe
@desk_view()
def tail_risk(request: HttpRequest) -> HttpResponse:
    """Value at risk and expected shortfall of one day, beside the record of each method."""
    frame = build_frame(request, "risk")
    marked = selectors.daily_unit_values(settings.MAGNET_BOOK)
    closed = [value for at, value in marked if at.date() < utc_now().date()]
    values = np.array([float(value) for value in closed[-YEARS_OF_DAYS:]])
    returns = values[1:] / values[:-1] - 1.0
    try:
        rows = compare_tails(returns)
    except InvalidInput:
        rows = ()
    return render(
        request,
        "desk/tail_risk.html",
        {
            **frame,
            "equity": equity_of(frame),
            "days": len(returns),
            "needed": WINDOW_DAYS,
            "rows": [
                {"row": row, "name": NAMES[row.method][0], "words": NAMES[row.method][1]}
                for row in rows
            ],
        },
    )
