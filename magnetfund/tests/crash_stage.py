"""A whole running instance for the crash drill: its ground, what is done on it, what must hold."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
from django.conf import settings as live_settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import Error, connection, connections

from investors.domain.ledger import build_entry
from investors.models import Entry, NavStrike
from investors.services.ledger import NewEntry, post_entry
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import Heartbeat, User
from magnetfund.core.roles import Role
from magnetfund.env import parse_database_url
from magnetfund.kernel.clock import to_milliseconds, utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.operations.people import arm_by_scenario, ensure_scenario_people, ensure_user
from magnetfund.operations.servers.home import Home
from magnetfund.operations.servers.postgres import Postgres
from magnetfund.tests.test_instance_life import (
    find_again,
    free_port,
    processes_of,
    run_instance,
    status_of,
    wait_until,
)
from risk.models import FuseReset
from risk.services.fuse import state_of
from risk.services.fuse_reset import approve_reset, propose_reset
from trading.domain.market import HOUR_MS
from trading.domain.paper_venue import Kind
from trading.domain.simulated_market import SimulatedInstrument
from trading.models import Fill, Order, PaperEvent, Position, Strategy
from trading.services.candle_store import store_candles
from trading.services.engine import engine_state_of
from trading.services.instruments import add_simulated_instrument
from trading.services.manual import close_position
from trading.services.market_source import SimulatedSource, SimulationConfig, save_simulation
from trading.services.reconcile import reconcile_with_executions

SYMBOL = "BTC/USDT:USDT"
EQUITY = "430000"
#: How long the instance may take to be sound again; an idle machine needs some seconds.
SOUND_SECONDS = 120.0
#: How long an order may be in doubt once the trader is back.
SETTLED_SECONDS = 10.0
WORDS = {
    "trader": "run_trader",
    "web": "web_server --host",
    "signer": "magnetfund.signer.asgi",
    "worker": "--concurrency 1 --loglevel",
    "watchdog": "operations.watchdog",
}
Made = TypeVar("Made")


def until(look: Callable[[], Made | None], *, seconds: float, what: str) -> Made:
    """The first thing found; what the database or the network refuses meanwhile is asked again."""
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = look()
        except (Error, OSError, FundError) as error:
            last = error
            connection.close()
        else:
            if found:
                return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds:.0f} s; {last}")


@dataclass(kw_only=True)
class CrashStage:
    """An instance under its supervisor, reached as its web's role and by its own address."""

    home: Path
    port: int
    running: subprocess.Popen[str]
    people: dict[str, Actor] = field(default_factory=dict)
    small: SmallFund | None = None
    months: int = 0
    orders: int = 0
    moved_at: float = 0.0
    #: What an entry by hand may lose, a share of the book's equity.
    risk_fraction: str = "0.0035"

    def __post_init__(self) -> None:
        self.server = Postgres(Home(self.home))

    # ---- ground --------------------------------------------------------------------------------

    @contextmanager
    def as_role(self, role: str) -> Iterator[None]:
        """The default connection on this instance, as one of its roles."""
        before = dict(connection.settings_dict)
        connection.close()
        connection.settings_dict.update(parse_database_url("x", self.server.dsn(role)))
        try:
            yield
        finally:
            connections.close_all()
            connection.settings_dict.update(before)

    def build(self) -> None:
        """A market, people, an armed fuse and a small fund with investors."""
        with psycopg.connect(
            self.server.dsn("postgres", "magnetfund"), autocommit=True
        ) as superuser:
            # Steps are taken here without anybody's passkey, as in the suite.
            superuser.execute("TRUNCATE risk_wallinstance")
            superuser.execute("INSERT INTO risk_wallinstance VALUES (1, 'test', 'main', now())")
        now_ms = to_milliseconds(utc_now()) // HOUR_MS * HOUR_MS
        config = SimulationConfig(
            seed=5, start_ms=now_ms - 62 * 24 * HOUR_MS, correlation=0.7,
            instruments=(SimulatedInstrument(symbol=SYMBOL, start_price=60_000.0, tick=0.1),),
        )  # fmt: skip
        with self.as_role("fa_gateway"):
            row = add_simulated_instrument(
                SYMBOL, tick=Decimal("0.1"), lot=Decimal("0.001"), minimum_notional=Decimal(5),
                maker_fee=Decimal("0.0002"), taker_fee=Decimal("0.0005"),
                maintenance_rate=Decimal("0.004"), actor=Actor.system("test"),
            )  # fmt: skip
            candles = SimulatedSource(config).candles(SYMBOL, config.start_ms, now_ms)
            store_candles(
                candles, instrument=row, timeframe="1h", source="SIMULATED", available_ms=now_ms
            )
            Strategy.objects.create(
                code="manual", version=1, name="manual", risk_fraction=Decimal(self.risk_fraction)
            )
            arm_by_scenario(
                book="main", people=ensure_scenario_people(), at=utc_now(), reason="drill"
            )
            self.small = make_fund("small")
            self.small.day(FIRST)
            self.small.subscribe("ann", "1000", before=FIRST)
            self.small.strike(FIRST)
            self.operator = ensure_user(
                email="op@example.com", name="Op", roles=[Role.OPERATOR, Role.RISK_OFFICER]
            )
            self.session = self._sign_in(self.operator)
            save_simulation(config)

    def show_factor(self) -> None:
        """The operator's second factor, shown just now, as an order of open size asks."""

        def show() -> bool:
            session = SessionStore(self.session)
            session["account_authentication_methods"] = [{"method": "mfa", "at": time.time()}]
            session.save()
            return True

        until(show, seconds=SOUND_SECONDS, what="the session")

    def _sign_in(self, user: User) -> str:
        session = SessionStore()
        session["_auth_user_id"] = str(user.pk)
        session["_auth_user_backend"] = live_settings.AUTHENTICATION_BACKENDS[0]
        session["_auth_user_hash"] = user.get_session_auth_hash()
        session["account_authentication_methods"] = [{"method": "mfa", "at": time.time()}]
        session["account_authentication_methods_user"] = str(user.pk)
        session.save()
        return str(session.session_key)

    # ---- what is done --------------------------------------------------------------------------

    def send(self, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
        """One request of the operator's; raises :class:`OSError` where nobody answers."""
        word = "c" * 32
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            line.request(
                "POST",
                path,
                body,
                {
                    "Host": "localhost", "Content-Type": kind, "X-CSRFToken": word,
                    "Cookie": f"session={self.session}; csrf={word}",
                },
            )  # fmt: skip
            answer = line.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(type(error).__name__) from None
        finally:
            line.close()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A request to the API, sent again until the web has answered it."""

        def ask() -> dict[str, Any]:
            status, said = self.send(path, json.dumps(body).encode(), "application/json")
            if status >= 500 or status == 429:
                raise OSError(f"answered {status}")
            return {**json.loads(said), "code": status}

        return until(ask, seconds=SOUND_SECONDS, what=path)

    def order(
        self, *, stop_share: str = "0.02", rest: float = 11, twice: bool = True
    ) -> tuple[int, int]:
        """An entry by the API under one key; how many there are, and how many there must be.

        ``stop_share`` of the price is how far the stop lies: a wider one makes a smaller order.
        ``rest`` are seconds since the last order or arming; ``twice`` asks once more by the same
        key.
        """
        key = uuid4().hex
        self.show_factor()
        until(lambda: engine_state_of("main") == "READY", seconds=SOUND_SECONDS, what="READY")
        price = until(self.price, seconds=SOUND_SECONDS, what="a price")
        before = until(lambda: [self.entries()], seconds=60, what="orders")[0]
        # The same again within ten seconds is refused, the closing by a stop included.
        time.sleep(max(0.0, self.moved_at + rest - time.monotonic()))
        self.moved_at = time.monotonic()
        self.orders += 1
        way = 1 if self.orders % 2 else -1
        stop, target = (
            price * (1 + way * share) for share in (-Decimal(stop_share), 3 * Decimal(stop_share))
        )
        body = {
            "idempotency_key": key, "symbol": SYMBOL, "magnet_tier": 2,
            "direction": "long" if way > 0 else "short", "entry_price": f"{price:f}",
            "stop_price": f"{stop + self.orders:.1f}", "target_price": f"{target:.1f}",
        }  # fmt: skip
        answer = self.post("/api/trade/execute", body)
        assert answer["code"] in (200, 202, 409, 422), answer
        if twice:
            again = self.post("/api/trade/execute", body)
            assert again.get("order_id") == answer.get("order_id")
        return until(lambda: (self.entries() - before, 1), seconds=60, what="the order")

    def last_words(self) -> list[Any]:
        """Why the newest entry is where it is."""
        order = Order.objects.filter(purpose="entry").latest("occurred_at")
        steps = order.events.order_by("seq").values_list("to_state", "detail")
        return [order.state, order.denial_codes, *steps]

    def price(self) -> Decimal | None:
        beat = Heartbeat.objects.filter(part="trader", seen_at__gt=utc_now() - timedelta(seconds=5))
        row = beat.first()
        # A trader that starts beats before it has a price.
        found = row.detail.get("prices", {}).get(SYMBOL) if row is not None else None
        return Decimal(found) if found is not None else None

    def entries(self) -> int:
        return int(Order.objects.filter(strategy="manual", purpose="entry").count())

    def fill(self) -> tuple[int, int]:
        """A close by hand of what is held; closes that filled, and positions that were open."""
        held = until(lambda: [list(self.held())], seconds=60, what="books")[0]
        if not held:
            self.order()
            held = list(self.held())
        actor = Actor.of(self.operator)
        for position in held:

            def close(position: Position = position) -> bool:
                row = Position.objects.get(pk=position.pk)
                if row.quantity and not self.closing(row).exists():
                    close_position(position=row, actor=actor)
                return bool(row.quantity == 0)

            until(close, seconds=SOUND_SECONDS, what="closing")
        return until(lambda: (int(self.held().count()), 0), seconds=60, what="positions")

    def held(self) -> Any:
        return Position.objects.exclude(quantity=0)

    def closing(self, position: Position) -> Any:
        return Order.objects.filter(
            book=position.book, strategy=position.strategy, instrument=position.instrument,
            purpose="manual", closed_at=None,
        )  # fmt: skip

    def ledger(self) -> tuple[int, int]:
        """An entry of the ledger, posted until it stands there."""
        assert self.small is not None
        fund, source = self.small.fund, f"drill:{uuid4().hex}"
        entry = build_entry(
            event="error_recovered", source_ref=source, effective_at=utc_now(),
            amounts={"amount": "1"}, currency=fund.currency, account="",
        )  # fmt: skip

        def act() -> bool:
            post_entry(fund, NewEntry.of(entry), actor=Actor.system("test"))
            return Entry.objects.filter(source_ref=source).exists()

        until(act, seconds=SOUND_SECONDS, what="the entry")
        rows = Entry.objects.filter(source_ref=source)
        return until(lambda: (int(rows.count()), 1), seconds=60, what="entries")

    def strike(self) -> tuple[int, int]:
        """A NAV of the small fund, prepared and approved, tried until it is."""
        assert self.small is not None
        self.months += 1
        small, at = self.small, first_of(2025, 1 + self.months)

        def act() -> bool:
            row = NavStrike.objects.filter(fund=small.fund, valuation_at=at).first()
            row = row or small.prepare(at)
            if row.approved_at is None:
                small.approve(row)
            return NavStrike.objects.filter(pk=row.pk, approved_at__isnull=False).exists()

        until(act, seconds=SOUND_SECONDS, what="the strike")
        rows = NavStrike.objects.filter(fund=small.fund, valuation_at=at)
        return until(lambda: (int(rows.count()), 1), seconds=60, what="strikes")

    def reset(self) -> tuple[int, int]:
        """An emergency stop by the API, and two people who arm again."""
        answer = self.post("/api/system/emergency-stop", {"reason": "drill"})
        assert answer["code"] == 200, answer
        self.arm()
        return until(
            lambda: (int(state_of("main") == "ARMED"), 1), seconds=60, what="state of the fuse"
        )

    def arm(self) -> None:
        """Ask and approve until the fund is armed."""
        people = ensure_scenario_people()

        def act() -> bool:
            if state_of("main") == "ARMED":
                return True
            # The trader compares once a minute; this is a comparison of the same rows, now.
            with self.as_role("fa_gateway"):
                newest = reconcile_with_executions("main", at=utc_now())
            row = FuseReset.objects.filter(withdrawn_at=None, transition=None).first()
            row = row or propose_reset(
                book="main", reason="drill", reconciliation=str(newest.pk), actor=people.maker
            )
            approve_reset(reset=row, actor=people.checker, director=people.director)
            return state_of("main") == "ARMED"

        until(act, seconds=SOUND_SECONDS, what="arming")
        self.moved_at = time.monotonic()

    # ---- what must hold ------------------------------------------------------------------------

    def find_victim(self, name: str) -> int:
        """The process to kill; 0 while it is not there."""
        if name == "postgres":
            return find_again(self.home, "postgres")
        if name == "redis":
            return find_again(self.home, "valkey-server")
        found = [pid for pid, said in processes_of(self.home).items() if WORDS[name] in said]
        return min(found, default=0)

    def kill(self, name: str) -> tuple[int, datetime]:
        """Kill at once; which process, and when."""
        pid = until(lambda: self.find_victim(name), seconds=60, what=name)
        os.kill(pid, signal.SIGKILL)
        return pid, utc_now()

    def wait_until_sound(self, killed: str, pid: int, at: datetime) -> None:
        """Everything runs again, books and venue were found equal, and no order is in doubt."""
        until(lambda: self.find_victim(killed) not in (0, pid), seconds=60, what=f"{killed} again")
        until(lambda: status_of(self.port, "/health") == 200, seconds=60, what="the web")
        beats = Heartbeat.objects.filter(seen_at__gt=at)
        for part in ("trader", "watchdog"):
            own = beats.filter(part=part)
            until(own.exists, seconds=60, what=part)
        until(lambda: engine_state_of("main") == "READY", seconds=SOUND_SECONDS, what="READY")
        until(lambda: not self.in_doubt(), seconds=60, what="orders in doubt")

    def in_doubt(self) -> int:
        states = ("SENDING", "UNKNOWN", "CANCEL_PENDING", "INTENT")
        return int(Order.objects.filter(state__in=states, closed_at=None).count())

    def unequal_fills(self) -> int:
        """Executions of the venue without a fill, and fills without one."""
        told = PaperEvent.objects.exclude(kind=Kind.FUNDING.value).order_by("number")
        theirs = [(e.quantity, e.price, e.amount) for e in told]
        ours = [
            (f.quantity, f.price, f.fee) for f in Fill.objects.filter(book="main").order_by("id")
        ]
        return len(set(map(str, theirs)) ^ set(map(str, ours))) + abs(len(theirs) - len(ours))


@contextmanager
def running_stage(folder: Path, blocker: Any, **given: Any) -> Iterator[CrashStage]:
    """An instance under ``folder`` with its ground built, reached as the web's role.

    ``given`` are fields of the stage.
    """
    home, port = folder / "home", free_port()
    running = run_instance(
        home, port, MAGNET_ENV="demo", SECRET_KEY=live_settings.SECRET_KEY, INITIAL_EQUITY=EQUITY
    )
    try:
        wait_until(lambda: status_of(port, "/") == 200, seconds=300)
        with blocker.unblock():
            ours = CrashStage(home=home, port=port, running=running, **given)
            ours.build()
            with ours.as_role("fa_app"):
                yield ours
    finally:
        if running.poll() is None:
            running.terminate()
        running.communicate(timeout=60)
