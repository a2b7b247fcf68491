"""An exchange's public market side on loopback: Binance's USDT-margined wire format.

It answers over HTTP and speaks on websockets.

For tests and trials without a network: real clients reach it through their addresses
(``EXCHANGE_HOST``), and a script of faults makes it late, wrong, busy or silent.  It never holds
money, and nothing of the platform imports it.
"""
