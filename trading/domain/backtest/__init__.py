"""Backtests: the compiled kernel, the bars that it reads, its results and reports.

The rule of a bar is that of :mod:`trading.domain.engine`, the readable engine, which is the
reference; :mod:`~trading.domain.backtest.kernel` is the same rule compiled, held equal by tests in
every field.
"""
