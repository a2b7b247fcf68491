"""What a NAV was valued by, tried from beside as a stolen web would send its SQL: prices, rates,
costs and closed breaks are recomputed, or stand in what its signer signs."""

from __future__ import annotations

import json
import uuid
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError

from investors.models import BookBreak, NavStrike
from investors.services import trading_books
from investors.services.breaks import raise_break
from investors.services.nav import approve_strike
from investors.tests.fund_support import SmallFund, make_fund_of
from investors.tests.test_coin_rates import say
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import NAV
from magnetfund.tests.test_decision_walls import checker_of, words
from magnetfund.tests.test_money_walls import attack
from magnetfund.tests.walls_support import (
    arm_fuse,
    make_engine_ready,
    make_instrument,
    make_user,
    reconcile_books,
    say_kind,
    write_signature,
)
from trading.models import Candle, Instrument
from trading.tests.test_position_rows import fill

D = Decimal
FEBRUARY, APRIL = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def small(fresh_database: Any, request: pytest.FixtureRequest) -> SmallFund:
    """60,000 USDC at the venue, one ETH at 600 beside 500 made, and its last hour at 620."""
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    eth = make_instrument("ETH/USDC:USDC", venue="binanceusdm", settle="USDC")
    fund = make_fund_of("main", {"A": {"performance_rate": "0"}})
    for at in (FEBRUARY, APRIL):
        fund.day(at)
    fund.subscribe("ann", "60000", before=FEBRUARY)
    say(fund, "1", at=FEBRUARY, coin="USDC")
    fund.strike(FEBRUARY)
    request.getfixturevalue("as_gateway")
    make_engine_ready()
    for number, (quantity, price) in enumerate([(1, "100"), (-1, "600"), (1, "600")], start=1):
        fill(eth, number, D(quantity), price, fee="0")
    price_at(620)
    reconcile_books()
    say(fund, "0.97", at=APRIL - timedelta(hours=2), coin="USDC")
    say(fund, "0.98", at=APRIL, coin="USDC")
    say_kind(fresh_database, "production")
    return fund


def price_at(close: float, *, version: int = 1) -> None:
    Candle.objects.create(
        instrument=Instrument.objects.get(), timeframe="1h", open_time=APRIL - timedelta(hours=1),
        open=610.0, high=max(625.0, close), low=600.0, close=close, volume=1.0, known_at=APRIL,
        available_at=APRIL, source="test", version=version,
    )  # fmt: skip


def prepared(small: SmallFund) -> NavStrike:
    row = small.prepare(APRIL)
    assert all(line["passed"] for line in row.checklist), row.checklist
    return row


class TestMarks:
    def test_an_honest_nav_says_what_it_was_valued_by(self, small: SmallFund, fresh_database: Any):
        row = prepared(small)
        said = words(NAV, row.pk)
        for part in (
            "\nPositions: 1, open result 20\n",
            "\nMarked ETH/USDC:USDC of trend: 1 at 620, result 20\n",
            "\nCoins: 60520 USDC at 0.98, rate 0.98 of ",
            "\nCosts since the last NAV: none\n",
            "\nBreaks closed since it was signed: 0\n",
        ):
            assert part in said, said
        write_signature(fresh_database, NAV, row.pk, checker_of(small))
        approve_strike(strike=row, seen_hash=row.result_hash, actor=small.checker)
        row.refresh_from_db()
        assert row.state == "dealt"

    @pytest.mark.parametrize("lie", ["900", "620.2", "1"])
    def test_a_price_that_no_candle_showed_is_refused(
        self, small: SmallFund, monkeypatch: pytest.MonkeyPatch, lie: str
    ):
        """A web that is another's code: it posts the mark and freezes the price that it likes."""
        monkeypatch.setattr(trading_books, "mark_price", lambda *_, **__: D(lie))
        with pytest.raises(IntegrityError, match="not marked at the last price by its fills"):
            small.prepare(APRIL)

    def test_a_position_that_no_fill_made_is_refused(
        self, small: SmallFund, monkeypatch: pytest.MonkeyPatch
    ):
        from investors.services import nav

        real = trading_books.positions_at

        def doubled(*args: Any, **kwargs: Any) -> Any:
            (held,) = real(*args, **kwargs)
            return [
                trading_books.SleevePosition(
                    instrument=held.instrument, strategy=held.strategy,
                    quantity=held.quantity * 2, average_price=held.average_price,
                    price=held.price, unrealised=held.unrealised * 2,
                )
            ]  # fmt: skip

        monkeypatch.setattr(nav, "positions_at", doubled)
        with pytest.raises(IntegrityError, match="not marked at the last price by its fills"):
            small.prepare(APRIL)

    def test_a_strike_by_hand_is_valued_as_any(self, small: SmallFund, fresh_database: Any):
        row = prepared(small)
        fields = [f.column for f in NavStrike._meta.concrete_fields]
        kept = ", ".join(c for c in fields if c not in ("id", "inputs", "version", "state"))
        forged = (
            f"INSERT INTO investors_navstrike (id, inputs, version, state, {kept}) "
            f"SELECT gen_random_uuid(), %s, version + 1, 'prepared', {kept} "
            "FROM investors_navstrike WHERE id = %s"
        )
        reject = ("UPDATE investors_navstrike SET state = 'rejected' WHERE id = %s", (row.pk,))
        inputs = deepcopy(row.inputs)
        inputs["positions"] = []
        said = attack(fresh_database, "fa_app", reject, (forged, (json.dumps(inputs), row.pk)))
        assert "not marked at the last price" in said
        inputs = deepcopy(row.inputs)
        inputs["positions"][0]["unrealised"] = "900"
        said = attack(fresh_database, "fa_app", reject, (forged, (json.dumps(inputs), row.pk)))
        assert "not marked at the last price" in said


class TestCoins:
    def test_an_older_rate_of_the_last_hours_is_refused(
        self, small: SmallFund, monkeypatch: pytest.MonkeyPatch
    ):
        from investors.services import coin_rates, coin_values

        older = coin_rates.find_rate("USDC", "USD", at=APRIL - timedelta(hours=1))
        assert older is not None
        assert older.rate == D("0.97")
        monkeypatch.setattr(coin_values, "require_coin_rate", lambda *_, **__: older)
        with pytest.raises(IntegrityError, match="not taken by the newest rate"):
            small.prepare(APRIL)

    def test_money_becomes_no_coins_at_par_that_are_off_it(
        self, small: SmallFund, fresh_database: Any
    ):
        row = prepared(small)
        write_signature(fresh_database, NAV, row.pk, checker_of(small))
        pk = uuid.uuid4()
        legs = [("1010", "-5"), ("1030", "5")]
        entry = (
            "INSERT INTO investors_entry (id, fund_id, kind, source_ref, text, effective_at, "
            "recorded_at, content_hash, created_by_label) VALUES (%s, %s, 'venue_funded', %s, '', "
            "%s, now(), 'x', 'x')",
            (pk, small.fund.pk, f"venue_funded:strike:{row.pk}", APRIL),
        )
        postings = [
            (
                "INSERT INTO investors_posting (entry_id, account_id, currency, amount, "
                "share_class, instrument, strategy) VALUES (%s, %s, 'USD', %s, '', '', '')",
                (pk, account, amount),
            )
            for account, amount in legs
        ]
        approve = (
            "UPDATE investors_navstrike SET state = 'approved', approved_by_id = %s, "
            "approved_at = now(), approved_hash = result_hash WHERE id = %s",
            (checker_of(small).pk, row.pk),
        )
        only = ("SET CONSTRAINTS flow_at_rate IMMEDIATE", ())
        said = attack(fresh_database, "fa_app", approve, entry, *postings, only)
        assert "venue_funded is at par, its NAV took 0.98" in said


class TestWords:
    def test_a_break_that_was_closed_stands_in_what_is_signed(
        self, small: SmallFund, fresh_database: Any
    ):
        say_kind(fresh_database, "test")
        found = raise_break(
            fund=small.fund, source="bank", reference="L-1", asset="USD", ours=D(0),
            theirs=D(40), day=APRIL.date(), text="x", actor=small.maker,
        )  # fmt: skip
        say_kind(fresh_database, "production")
        row = small.prepare(APRIL)
        write_signature(fresh_database, NAV, row.pk, checker_of(small))
        signed = words(NAV, row.pk)
        maker = small.maker.user
        assert maker is not None
        closed = (
            "UPDATE investors_bookbreak SET state = 'accepted', closed_at = now(), "
            "resolution = 'nothing', explained_by_id = %s, closed_by_id = %s, cause = 'x'",
            (maker.pk, checker_of(small).pk),
        )
        assert attack(fresh_database, "fa_app", closed) == ""
        said = words(NAV, row.pk)
        assert said != signed
        assert "\nBreaks closed since it was signed: 1\nClosed bank " in said
        assert " L-1: ours 0, theirs 40 USD, by " in said
        assert BookBreak.objects.get(pk=found.pk).closed_at is not None
        approve = (
            "UPDATE investors_navstrike SET state = 'approved', approved_by_id = %s, "
            "approved_at = now(), approved_hash = result_hash WHERE id = %s",
            (checker_of(small).pk, row.pk),
        )
        assert "has not signed this" in attack(fresh_database, "fa_app", approve)
