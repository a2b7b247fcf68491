"""One book at work: decided purely, executed by a venue, written as rows.

Each part owns one piece of state: ``trading_book`` the engine's book and how far the venue's events
are booked, ``desk`` our orders by slot, ``memory`` what outlasts the process.  ``entries``,
``bookings``, ``fuse_rows``, ``worth`` and ``words`` keep nothing.
"""
