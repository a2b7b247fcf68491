"""The paper venue of one book: orders, accounts and cash of its own, committed before it answers.

It fills from the market that the trader shows it, phase by phase (:mod:`trading.domain.paper_venue`
decides what executes), and knows nothing of the decisions.  Orders, executions and memory of one
answer are one commit: whoever asks after a crash finds either all of them or none.  A history that
can be told again keeps them back and stores them day by day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from magnetfund.core.rows import copy_new
from magnetfund.kernel.clock import from_milliseconds
from risk.domain.pretrade import Side
from trading.domain.engine.book import Bar
from trading.domain.engine.rules import EngineRules, TradedInstrument
from trading.domain.orders import OrderNotFound, VenueReported, VenueStatus
from trading.domain.paper_venue import (
    Execution,
    Kind,
    RestingOrder,
    VenueAccount,
    VenueBook,
    Walk,
    walk_bar,
)
from trading.models import PaperEvent, PaperOrder, PaperVenueState
from trading.services.paper_venue_rows import (
    account_after,
    account_key,
    cash_of,
    event_of,
    event_row,
    report_of,
)
from trading.services.sleeves import Sleeve
from trading.venues.execution import (
    OrderTicket,
    VenueBalance,
    VenueEvent,
    VenueFill,
    VenuePosition,
)

#: Columns of an order that its life moves.
MOVED_COLUMNS = ["status", "filled_quantity", "reason", "closed_at"]


class PaperVenue:
    """Implements :class:`trading.venues.execution.ExecutionVenue`.  One writer: its trader."""

    def __init__(
        self,
        *,
        code: str,
        rules: EngineRules,
        sleeves: Sequence[Sleeve],
        cash: Decimal,
        is_history: bool = False,
    ) -> None:
        self.code = code
        self.rules = rules
        self.sleeves = tuple(sleeves)
        self.cash = cash
        self.flow_id = 0
        self.is_history = is_history
        self.book = VenueBook(accounts=(VenueAccount(),) * len(self.sleeves))
        self._number = 0
        self._orders: dict[str, PaperOrder] = {}
        self._events: list[VenueEvent] = []
        self._new_orders: dict[str, PaperOrder] = {}
        self._new_events: list[PaperEvent] = []

    # ---- the port ------------------------------------------------------------------------------

    def submit(self, ticket: OrderTicket, *, at: datetime) -> VenueReported:
        known = self._find(ticket.client_order_id)
        if known is not None:
            return report_of(known, at)
        account = self._account_of(ticket.account, ticket.symbol)
        reason = self._refuse(ticket, account)
        sleeve = self.sleeves[account] if account is not None else self.sleeves[0]
        row = PaperOrder(
            client_order_id=ticket.client_order_id,
            book=self.code,
            instrument=sleeve.instrument,
            account=ticket.account,
            side=ticket.side.value,
            type=ticket.type.value,
            quantity=ticket.quantity,
            trigger_price=ticket.trigger_price,
            reduce_only=ticket.reduce_only,
            leverage=ticket.leverage,
            is_urgent=ticket.is_urgent,
            status=(VenueStatus.REJECTED if reason else VenueStatus.OPEN).value,
            filled_quantity=Decimal(0),
            reason=reason,
            taken_at=at,
            closed_at=at if reason else None,
        )
        book = self.book
        if not reason:
            book = replace(book, orders=(*book.orders, self._resting(row)))
        self._commit(book, orders=[row])
        return report_of(row, at)

    def cancel(self, client_order_id: str, *, at: datetime) -> VenueReported | OrderNotFound:
        row = self._find(client_order_id)
        if row is None:
            return OrderNotFound(at=at)
        if row.closed_at is None:
            row.status, row.closed_at = VenueStatus.CANCELLED.value, at
            left = tuple(order for order in self.book.orders if order.id != client_order_id)
            self._commit(replace(self.book, orders=left), orders=[row])
        return report_of(row, at)

    def query(self, client_order_id: str, *, at: datetime) -> VenueReported | OrderNotFound:
        row = self._find(client_order_id)
        return OrderNotFound(at=at) if row is None else report_of(row, at)

    def open_orders(self, *, at: datetime) -> Mapping[str, VenueReported]:
        return {order.id: report_of(self._orders[order.id], at) for order in self.book.orders}

    def events(self, *, since: int) -> tuple[VenueEvent, ...]:
        first = self._events[0].number if self._events else self._number + 1
        if since + 1 < first and not self.is_history:
            rows = PaperEvent.objects.filter(book=self.code, number__gt=since, number__lt=first)
            return (*(event_of(row) for row in rows.order_by("number")), *self._events)
        self._events = [event for event in self._events if event.number > since]
        return tuple(self._events)

    def fills(self, *, since: int) -> tuple[VenueFill, ...]:
        return tuple(event for event in self.events(since=since) if isinstance(event, VenueFill))

    def positions(self) -> tuple[VenuePosition, ...]:
        found = []
        for held, sleeve in zip(self.book.accounts, self.sleeves, strict=True):
            if held.side:
                instrument = sleeve.instrument
                found.append(
                    VenuePosition(
                        account=sleeve.strategy,
                        symbol=instrument.symbol,
                        quantity=held.side * held.lots * instrument.lot,
                        entry_price=held.entry_ticks * instrument.tick,
                    )
                )
        return tuple(found)

    def balances(self) -> tuple[VenueBalance, ...]:
        currency = self.sleeves[0].instrument.settle if self.sleeves else "USDT"
        return (VenueBalance(currency=currency, cash=self.cash),)

    # ---- the market that it fills from ---------------------------------------------------------

    def walk(self, walk: Walk, *, time_ms: int, bars: Sequence[Bar | None]) -> None:
        """Execute what one phase of the bar at ``time_ms`` reaches."""
        after, happened = walk_bar(book=self.book, walk=walk, bars=bars, rules=self.rules)
        if not happened:
            self.book = after
            return
        at = from_milliseconds(time_ms)
        rows, orders = [], []
        before, cash, number = self.book.accounts, self.cash, self._number
        held = list(before)
        for item in happened:
            number += 1
            row = event_row(
                item, sleeve=self.sleeves[item.account], terms=self._terms(item.account), at=at,
                book=self.code, number=number,
            )  # fmt: skip
            rows.append(row)
            cash += cash_of(item, held[item.account], row)
            if isinstance(item, Execution):
                held[item.account] = account_after(held[item.account], item)
                if item.order_id:
                    orders.append(self._executed(item, row, at))
        self._commit(after, orders=orders, events=rows, cash=cash, number=number)

    def deposit(self, *, flow_id: int, amount: Decimal) -> None:
        """Money that came in (negative: went out); a flow that is known already changes nothing."""
        if flow_id > self.flow_id:
            self.flow_id = flow_id
            self._commit(self.book, cash=self.cash + amount)

    def rearrange(self, *, rules: EngineRules, sleeves: Sequence[Sleeve]) -> None:
        """Go on over other accounts; one that is left out must be flat and without orders."""
        held = dict(zip(map(account_key, self.sleeves), self.book.accounts, strict=True))
        self.rules, self.sleeves = rules, tuple(sleeves)
        accounts = tuple(held.get(account_key(sleeve), VenueAccount()) for sleeve in self.sleeves)
        self.book = VenueBook(
            accounts=accounts,
            orders=tuple(self._resting(self._orders[order.id]) for order in self.book.orders),
        )
        self._commit(self.book)

    # ---- rows ----------------------------------------------------------------------------------

    def store(self) -> None:
        """Store what a history kept back."""
        orders = list(self._new_orders.values())
        stored = [row for row in orders if not row._state.adding]
        copy_new([row for row in orders if row._state.adding])
        PaperOrder.objects.bulk_create(
            stored,
            update_conflicts=True,
            unique_fields=["client_order_id"],
            update_fields=MOVED_COLUMNS,
            batch_size=500,
        )
        copy_new(self._new_events)
        self._new_orders, self._new_events = {}, []
        self._keep()

    def _commit(
        self,
        book: VenueBook,
        *,
        orders: Sequence[PaperOrder] = (),
        events: Sequence[PaperEvent] = (),
        cash: Decimal | None = None,
        number: int | None = None,
    ) -> None:
        """Orders, executions and memory of one answer; memory moves only with the rows."""
        self.book, before = book, (self.book, self.cash, self._number)
        self.cash = self.cash if cash is None else cash
        self._number = self._number if number is None else number
        if self.is_history:
            self._new_orders.update({row.client_order_id: row for row in orders})
            self._new_events += events
        else:
            try:
                with transaction.atomic(durable=True):
                    for row in orders:
                        self._write(row)
                    PaperEvent.objects.bulk_create(events)
                    self._keep()
            except BaseException:
                self.book, self.cash, self._number = before
                raise
        self._orders.update({row.client_order_id: row for row in orders})
        self._events += [event_of(row) for row in events]
        self._forget_closed()

    def _write(self, row: PaperOrder) -> None:
        if row._state.adding:
            row.save(force_insert=True)
        else:
            row.save(update_fields=MOVED_COLUMNS)

    def _keep(self) -> None:
        row, _ = PaperVenueState.objects.select_for_update().get_or_create(book=self.code)
        row.revision += 1
        row.state = {
            "accounts": {
                account_key(sleeve): asdict(held)
                for sleeve, held in zip(self.sleeves, self.book.accounts, strict=True)
                if held.side
            },
            "cash": str(self.cash),
            "number": self._number,
            "flow_id": self.flow_id,
        }
        row.save()

    def _forget_closed(self) -> None:
        """Closed orders are asked for in their rows, not in memory."""
        open_ids = {order.id for order in self.book.orders}
        for known in [row for row in self._orders.values() if row.closed_at is not None]:
            if known.client_order_id not in open_ids:
                del self._orders[known.client_order_id]

    def _find(self, client_order_id: str) -> PaperOrder | None:
        found = self._orders.get(client_order_id) or self._new_orders.get(client_order_id)
        if found is not None or self.is_history:
            return found
        rows = PaperOrder.objects.filter(pk=client_order_id, book=self.code)
        return rows.select_related("instrument").first()

    def restore(self) -> None:
        """Take over what is stored of this book."""
        row = PaperVenueState.objects.filter(book=self.code).first()
        if row is None:
            return
        self.cash = Decimal(row.state["cash"])
        self.flow_id = int(row.state["flow_id"])
        self._number = int(row.state["number"])
        known = {name: VenueAccount(**plain) for name, plain in row.state["accounts"].items()}
        rows = PaperOrder.objects.filter(book=self.code, closed_at=None)
        open_rows = list(rows.select_related("instrument").order_by("taken_at", "client_order_id"))
        self._orders = {order.client_order_id: order for order in open_rows}
        self.book = VenueBook(
            accounts=tuple(
                known.get(account_key(sleeve), VenueAccount()) for sleeve in self.sleeves
            ),
            orders=tuple(self._resting(order) for order in open_rows),
        )

    # ---- values --------------------------------------------------------------------------------

    def _account_of(self, account: str, symbol: str) -> int | None:
        for index, sleeve in enumerate(self.sleeves):
            if (sleeve.strategy, sleeve.instrument.symbol) == (account, symbol):
                return index
        return None

    def _refuse(self, ticket: OrderTicket, account: int | None) -> str:
        """Why the venue does not take an order; empty where it does."""
        if account is None:
            return "no such account"
        held, instrument = self.book.accounts[account], self.sleeves[account].instrument
        if ticket.quantity % instrument.lot:
            return "not whole lots"
        if ticket.reduce_only and held.side != (-1 if ticket.side is Side.BUY else 1):
            return "nothing to reduce"
        return ""

    def _terms(self, account: int) -> TradedInstrument:
        return self.rules.instruments[self.rules.slots[account].instrument]

    def _resting(self, row: PaperOrder) -> RestingOrder:
        account = self._account_of(row.account, row.instrument.symbol)
        assert account is not None  # a slot with an order waiting is not dropped
        instrument = self.sleeves[account].instrument
        return RestingOrder(
            id=row.client_order_id,
            account=account,
            side=1 if row.side == Side.BUY.value else -1,
            lots=int(row.quantity / instrument.lot),
            kind=Kind(row.type),
            reduces=row.reduce_only,
            trigger_ticks=int((row.trigger_price or 0) / instrument.tick),
            leverage=row.leverage,
            urgent=row.is_urgent,
        )

    def _executed(self, item: Execution, event: PaperEvent, at: datetime) -> PaperOrder:
        """The order as the execution leaves it; what a reduce-only order did not need, lapses."""
        row = self._orders[item.order_id]
        row.filled_quantity = row.filled_quantity + event.quantity
        is_whole = row.filled_quantity == row.quantity
        row.status = (VenueStatus.FILLED if is_whole else VenueStatus.CANCELLED).value
        row.closed_at = at
        return row
