"""A fund of 100,000 lots through services and database: strikes, 10,000 orders, crystallisation.

Run as ``python -m bench.dealing`` (``--small`` for a tenth, ``--profile`` for where Python's time
goes).  Every lot and unit comes of a strike that the services prepared, approved and dealt, with
all walls in force; only the orders that ask for them are written in bulk, with their money.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from bench.ground import platform
from bench.timing import Row

INVESTORS = 10_000
LOTS = 100_000
ORDERS = 10_000
BATCH = 2_000
#: What a subscription of a lot brings.
AMOUNT = Decimal("1000.00")


class PeakMemory:
    """The most memory that this process held since :meth:`restart`, in MB (Linux)."""

    def restart(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")

    def read(self) -> float:
        status = Path("/proc/self/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024.0


class LargeFund:
    """Two classes with a performance fee, final at the end of June, and who holds them."""

    def __init__(self, dsn: str, *, investors: int) -> None:
        from investors.domain.onboarding import KycState
        from investors.models import Investor
        from investors.tests.fund_support import FIRST, first_of, make_fund_of

        fees = {
            "management_rate": "0.02",
            "performance_rate": "0.2",
            "crystallisation_months": [6],
        }
        self.dsn = dsn
        self.paid_in = Decimal(0)
        self.small = make_fund_of(
            "large", {"A": fees, "B": {**fees, "hurdle": "hard", "hurdle_rate": "0.05"}}
        )
        self.days = [FIRST, *(first_of(2025, month) for month in range(2, 8))]
        for day in self.days:
            self.small.day(day)
        Investor.objects.bulk_create(
            [
                Investor(
                    number=f"L-{k}", legal_name=f"Holder {k}", email=f"holder{k}@example.com",
                    kyc_state=KycState.APPROVED, joined_at=FIRST - timedelta(days=30),
                )
                for k in range(investors)
            ],
            batch_size=BATCH,
        )  # fmt: skip
        self.people = list(Investor.objects.order_by("number").values_list("pk", flat=True))
        self.classes = [self.small.share_class(code) for code in "AB"]

    def subscribe(self, count: int, *, day: datetime) -> None:
        """Paid subscriptions for a dealing day, from the holders in turn."""
        self.paid_in += AMOUNT * count
        self._receive(AMOUNT * count, day)
        self._order(
            count, day, kind="subscription", state="funded", amount=AMOUNT, funded_amount=AMOUNT,
            funded_at=day - timedelta(days=3),
        )  # fmt: skip

    def redeem(self, count: int, *, day: datetime) -> None:
        """Redemptions of seven units each, from as many holders."""
        self._order(count, day, kind="redemption", state="accepted", units=Decimal(7))

    def earn(self, share: str, *, day: datetime) -> None:
        """A gain in the month before a dealing day, as a part of all that was paid in."""
        amount = (self.paid_in * Decimal(share)).quantize(Decimal("0.01"))
        self.small.earn(f"{amount:f}", at=day - timedelta(days=10))

    def _receive(self, total: Decimal, day: datetime) -> None:
        """The money of all orders of a day, received and known to be client money."""
        from investors.domain.ledger import build_entry
        from investors.services.ledger import NewEntry, post_entries
        from magnetfund.core.actors import Actor

        entries = [
            build_entry(
                event=event,
                source_ref=f"{event}:{day:%Y-%m-%d}",
                effective_at=day - timedelta(days=3),
                amounts={"amount": total},
                currency=self.small.fund.currency,
            )
            for event in ("unknown_receipt", "receipt_identified")
        ]
        news = [NewEntry.of(entry) for entry in entries]
        post_entries(self.small.fund, news, actor=Actor.system("bench"))

    def _order(self, count: int, day: datetime, **fields: Any) -> None:
        from investors.models import DealingDay, DealingOrder

        dealing_day = DealingDay.objects.get(fund=self.small.fund, valuation_at=day)
        with self._without_receipts():
            for start in range(0, count, BATCH):
                DealingOrder.objects.bulk_create(
                    [
                        DealingOrder(
                            investor_id=self.people[k % len(self.people)],
                            share_class=self.classes[(k // len(self.people)) % 2],
                            dealing_day=dealing_day,
                            first_day=day.date(),
                            received_at=day - timedelta(days=9) + timedelta(milliseconds=k),
                            **fields,
                        )
                        for k in range(start, min(start + BATCH, count))
                    ]
                )

    @contextmanager
    def _without_receipts(self) -> Iterator[None]:
        """Orders in bulk with their money: the wall that asks for a line of each is down."""
        table = "ALTER TABLE investors_dealingorder {} TRIGGER order_money"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(table.format("DISABLE"))
            yield
            connection.execute(table.format("ENABLE ALWAYS"))
            connection.execute("ANALYZE")


def measure(work: Callable[[], object], *, profiled: bool = False) -> tuple[float, float]:
    """Wall seconds of a piece of work and the most memory that it held, in MB.

    Prints the processor seconds of both sides: on a machine that does other work, they alone say
    whether something became faster.
    """
    memory, profile, server = PeakMemory(), cProfile.Profile(), find_server()
    memory.restart()
    began, own, theirs = time.perf_counter(), time.process_time(), read_seconds(server)
    if profiled:
        profile.runcall(work)
    else:
        work()
    taken, own = time.perf_counter() - began, time.process_time() - own
    theirs = read_seconds(server) - theirs
    print(f"{taken:.1f} s; of a processor {own:.1f} s here, {theirs:.1f} s in PostgreSQL")
    if profiled:
        pstats.Stats(profile).sort_stats("tottime").print_stats(18)
    return taken, memory.read()


def find_server() -> int:
    """The process of PostgreSQL that serves this one's session."""
    from django.db import connection

    connection.ensure_connection()
    return int(connection.connection.info.backend_pid)


def read_seconds(process: int) -> float:
    """Processor seconds that a process has used, its own and the kernel's for it (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(*, scale: int = 1, profiled: bool = False) -> list[Row]:
    """The rows of this bench."""
    with platform() as folder:
        from magnetfund.operations.servers.home import Home
        from magnetfund.operations.servers.postgres import Postgres

        dsn = Postgres(Home(folder)).dsn("postgres")
        return measure_strikes(dsn, scale=scale, profiled=profiled)


def measure_strikes(dsn: str, *, scale: int, profiled: bool) -> list[Row]:
    """A fund is founded in two days, then has a quiet day, a busy one and a year's end."""
    lots, orders = LOTS // scale, ORDERS // scale
    fund = LargeFund(dsn, investors=INVESTORS // scale)
    days = iter(fund.days)
    found: list[tuple[str, float, tuple[float, float]]] = []

    def strike(name: str, bar: float, day: datetime) -> None:
        taken = measure(lambda: fund.small.strike(day), profiled=profiled)
        print(f"{name}: {taken[0]:.1f} s, {taken[1]:.0f} MB", flush=True)
        found.append((name, bar, taken))

    for share in (3, 2):
        day, count = next(days), lots * share // 5
        if share == 2:
            fund.earn("0.05", day=day)
        fund.subscribe(count, day=day)
        strike(f"strike that deals {count:,} subscriptions", 0.0, day)
    day = next(days)
    fund.earn("0.06", day=day)
    strike(f"NAV of {lots:,} lots, prepared and approved", 10.0, day)
    day = next(days)
    fund.redeem(orders // 2, day=day)
    fund.subscribe(orders // 2, day=day)
    strike(f"the same with {orders:,} orders", 30.0, day)
    fund.small.strike(next(days))
    fund.small.strike(next(days))
    day = next(days)
    fund.earn("0.1", day=day)
    strike("the same with every lot crystallised", 30.0, day)
    memory = max(held for _, bar, (_, held) in found if bar)
    return [
        *((name, taken, bar, "s") for name, bar, (taken, _) in found),
        ("most memory of these strikes", memory, 600.0, "MB"),
    ]


if __name__ == "__main__":
    from bench.timing import print_rows

    print_rows(run(scale=10 if "--small" in sys.argv else 1, profiled="--profile" in sys.argv))
