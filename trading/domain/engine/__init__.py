"""The engine: the decision and execution model that backtest, replay and trader share.

A service drives a book bar by bar::

    book = open_book(rules=rules, time_ms=first_open)
    for each bar that starts at time_ms:
        book, events = process_bar(
            rules=rules, book=book, time_ms=time_ms, bars=bars, signals=signals
        )

``bars`` has one :class:`~trading.domain.engine.book.Bar` per instrument (None where the bar is
missing), ``signals`` one :class:`~trading.domain.strategies.signals.Signal` per slot (None where
the instrument has no bar). ``events`` are in the order in which they happened; a service writes
them as rows. Nothing is kept outside the book, so a run may stop after any bar and go on from
storage.

Order of one bar (all instruments pass a step before the next step begins):

1. Open: the day turns and due resets are made; a liquidation that the open jumped fills first,
   then stops and targets that it jumped, then pending market orders fill at the open with slippage.
2. Funding on what is held at the stamp, on the notional at the open.
3. Inside the bar: stop before target; liquidation only where it lies nearer than the stop.
   Protection is live on the entry bar.
4. The loss fuse tests every position at its adverse extreme at once.  A trip fills at the point
   where equity meets the threshold, or at the open when that was already beyond it.
5. Close: positions are marked; day start, peak and drawdown move on closes alone.
6. The market triggers of the fuse; cuts become orders for the next open.
7. Exits and entries of the signals become orders for the next open: signal, leverage with its
   caps, size in whole lots, or a refusal with its reason.

:mod:`~trading.domain.engine.rules` holds what a run is told, :mod:`~trading.domain.engine.book` the
state and the events.  The readable engine is the reference; the compiled kernel of
:mod:`trading.domain.backtest` must give the same integer trades and equity within 1e-9 of its size.
"""
