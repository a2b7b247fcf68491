"""Where orders execute.  The paper venue is part of the platform; an exchange is added here."""

from __future__ import annotations

#: Venues that trade real money.  While there is none, ``TRADING_MODE=live`` stops the start.
LIVE_VENUES: tuple[str, ...] = ()
