"""Strategies: small classes that read closed candles and say when to enter, protect and leave.

One module a strategy.  Each gives its signals in columns for a backtest and one bar at a time for
a trader, with identical rows; see :mod:`trading.domain.strategies.signals`.
"""
