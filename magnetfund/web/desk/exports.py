"""Tables of the desk as files."""

from __future__ import annotations

import csv

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from magnetfund.core.roles import Capability
from magnetfund.core.spreadsheets import safe_cell
from magnetfund.kernel.clock import isoformat_z
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.money import own_fund
from magnetfund.web.desk.order_list import find_orders
from magnetfund.web.desk.order_words import say_codes
from magnetfund.web.desk.payment_list import find_payments
from magnetfund.web.desk.trade_list import find_trades

COLUMNS = (
    "closed_at", "opened_at", "instrument", "direction", "strategy", "quantity", "entry_price",
    "exit_price", "leverage", "net_pnl", "commission", "funding", "closed_by", "why",
)  # fmt: skip
ORDER_COLUMNS = (
    "ordered_at", "order", "instrument", "side", "purpose", "strategy", "quantity", "filled",
    "trigger_price", "state", "closed_at", "refused_because",
)  # fmt: skip
PAYMENT_COLUMNS = (
    "payment", "kind", "state", "amount", "currency", "to", "text", "prepared_at",
    "confirmed_at", "bank_reference", "reason",
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


@require_safe
@desk_view()
def orders(request: HttpRequest) -> HttpResponse:
    """The orders of the list's own query, with exact figures."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="orders.csv"'
    writer = csv.writer(response)
    writer.writerow(ORDER_COLUMNS)
    for row in find_orders(settings.MAGNET_BOOK, request.GET):
        writer.writerow(
            [
                isoformat_z(row.occurred_at), str(row.id), row.instrument.symbol, row.side,
                row.purpose, row.strategy, f"{row.quantity:f}", f"{row.filled_quantity:f}",
                "" if row.trigger_price is None else f"{row.trigger_price:f}", row.state,
                isoformat_z(row.closed_at) if row.closed_at else "",
                safe_cell(" ".join(say_codes(row.denial_codes))),
            ]
        )  # fmt: skip
    return response


@require_safe
@desk_view(Capability.HOLDERS_VIEW)
def payments(request: HttpRequest) -> HttpResponse:
    """The payments of the list's own query, with exact figures; account numbers stay in the
    payment file."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="payments.csv"'
    writer = csv.writer(response)
    writer.writerow(PAYMENT_COLUMNS)
    for row in find_payments(own_fund(), request.GET):
        writer.writerow(
            [
                row.reference, row.kind, row.state, f"{row.amount:f}", row.currency,
                safe_cell(row.to_name), safe_cell(row.text),
                isoformat_z(row.prepared_at),
                isoformat_z(row.confirmed_at) if row.confirmed_at else "",
                safe_cell(row.bank_reference), safe_cell(row.reason),
            ]
        )  # fmt: skip
    return response
