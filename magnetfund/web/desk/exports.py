"""Tables of the desk as files."""

from __future__ import annotations

import csv

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from magnetfund.core.spreadsheets import safe_cell
from magnetfund.kernel.clock import isoformat_z
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.trade_list import find_trades

COLUMNS = (
    "closed_at", "opened_at", "instrument", "direction", "strategy", "quantity", "entry_price",
    "exit_price", "leverage", "net_pnl", "commission", "funding", "closed_by", "why",
)  # fmt: skip


@require_safe
@desk_view()
def trades(request: HttpRequest) -> HttpResponse:
    """The closed trades of the list's own query, with exact figures."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="trades.csv"'
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    for row in find_trades(settings.MAGNET_BOOK, request.GET):
        writer.writerow(
            [
                isoformat_z(row.closed_at), isoformat_z(row.opened_at), row.instrument.symbol,
                row.direction, row.strategy, f"{row.quantity:f}", f"{row.entry_price:f}",
                f"{row.exit_price:f}", f"{row.leverage:.2f}", f"{row.net_pnl:f}",
                f"{row.commission:f}", f"{row.funding:f}", row.closure_reason,
                safe_cell(f"{row.why_opened} {row.why_closed}".strip()),
            ]
        )  # fmt: skip
    return response
