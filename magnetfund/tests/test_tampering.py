"""Forty ways in which a superuser changes the books, his hashes made good where he knows how: each
is found, and named.

Ten of them, one of every kind, run with every change; all of them in the drill.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from investors.models import Fund
from investors.services.verification import verify_fund
from investors.services.verification.ledger import read_entries
from magnetfund.core.services.audit_check import find_audit_breaks
from magnetfund.core.services.signatures import find_untold_grants
from magnetfund.env import parse_database_url
from magnetfund.operations.books import check_books
from magnetfund.operations.books.root import find_root_differences, make_root, make_root_keys
from magnetfund.operations.books.sealed import UNSEALED, whole_tables
from magnetfund.operations.walls import declared_append_only
from magnetfund.tests.drill_size import sampled
from magnetfund.tests.flow_support import make_candles, replay

#: What an attacker runs after a change so that the chain fits again, all the way to its end.
REBUILD = {
    "ledger": """DO $$ DECLARE e investors_entry; last bytea := '\\x'; BEGIN
      FOR e IN SELECT * FROM investors_entry ORDER BY seq LOOP
        e.prev_hash := last; last := investors_entry_digest(e);
        UPDATE investors_entry SET prev_hash = e.prev_hash, row_hash = last WHERE id = e.id;
      END LOOP; END $$""",
    "units": """DO $$ DECLARE u investors_unitentry; last bytea := '\\x'; BEGIN
      FOR u IN SELECT * FROM investors_unitentry ORDER BY seq LOOP
        u.prev_hash := last; last := investors_unit_digest(u);
        UPDATE investors_unitentry SET prev_hash = u.prev_hash, row_hash = last WHERE id = u.id;
      END LOOP; END $$""",
    "audit": """DO $$ DECLARE a core_auditevent; last bytea := '\\x'; BEGIN
      FOR a IN SELECT * FROM core_auditevent ORDER BY seq LOOP
        a.prev_hash := last; last := core_audit_digest(a);
        UPDATE core_auditevent SET prev_hash = a.prev_hash, row_hash = last WHERE id = a.id;
      END LOOP; END $$""",
}
FIRST_ISSUE = "(SELECT id FROM investors_entry WHERE kind = 'units_issued' ORDER BY seq LIMIT 1)"
TWO_PEOPLE = (
    "core_user a, core_user b WHERE a.email = 'scenario.maker@example.com' "
    "AND b.email = 'scenario.checker@example.com'"
)
TWO_CASH = (
    "WITH two AS (SELECT id, row_number() OVER (ORDER BY amount) AS n, count(*) OVER () AS c "
    "FROM investors_posting WHERE entry_id = (SELECT entry_id FROM investors_posting "
    "WHERE currency = 'USD' GROUP BY entry_id HAVING count(*) = 2 ORDER BY entry_id LIMIT 1)) "
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering:
    """SQL by a superuser, the chains that he builds anew, and words of the finding."""

    name: str
    sql: str
    names: str
    rebuild: tuple[str, ...] = ()
    rehash_content: bool = False


TAMPERINGS = (
    Tampering(name="one posting", names="differ by",
              sql="UPDATE investors_posting SET amount = amount + 1 WHERE id = "
              "(SELECT min(id) FROM investors_posting)"),
    Tampering(name="a balanced pair of postings", names="its postings are not those",
              sql=TWO_CASH + "UPDATE investors_posting p SET amount = p.amount + "
              "CASE WHEN two.n = 1 THEN -1 ELSE 1 END FROM two WHERE two.id = p.id"),
    Tampering(name="a balanced pair with its content hash", names="its hash is not that",
              rehash_content=True,
              sql=TWO_CASH + "UPDATE investors_posting p SET amount = p.amount + "
              "CASE WHEN two.n = 1 THEN -1 ELSE 1 END FROM two WHERE two.id = p.id"),
    Tampering(name="a balanced pair and the whole chain", names="chain ledger:main: built anew",
              rehash_content=True, rebuild=("ledger",),
              sql=TWO_CASH + "UPDATE investors_posting p SET amount = p.amount + "
              "CASE WHEN two.n = 1 THEN -1 ELSE 1 END FROM two WHERE two.id = p.id"),
    Tampering(name="the account of a posting", names="its postings are not those",
              sql="UPDATE investors_posting SET account_id = '2020' WHERE id = "
              "(SELECT min(id) FROM investors_posting WHERE account_id <> '2020')"),
    Tampering(name="the strategy of a posting", names="its postings are not those",
              sql="UPDATE investors_posting SET strategy = 'other' WHERE id = "
              "(SELECT min(id) FROM investors_posting WHERE strategy <> '')"),
    Tampering(name="postings removed", names="no postings",
              sql=f"DELETE FROM investors_posting WHERE entry_id = {FIRST_ISSUE}"),
    Tampering(name="the text of an entry", names="entry 2: its hash is not that",
              sql="UPDATE investors_entry SET text = 'gift' WHERE seq = 2"),
    Tampering(name="the recorded time of an entry", names="entry 2: its hash is not that",
              sql="UPDATE investors_entry SET recorded_at = recorded_at - interval '1 day' "
              "WHERE seq = 2"),
    Tampering(name="the hash of an entry", names="entry 3: hash chain broken",
              sql="UPDATE investors_entry SET row_hash = 'x' WHERE seq = 2"),
    Tampering(name="an entry in the middle removed", names="rows are missing",
              sql="DELETE FROM investors_posting WHERE entry_id = (SELECT id FROM investors_entry "
              "WHERE seq = 3); DELETE FROM investors_entry WHERE seq = 3"),
    Tampering(name="the ledger's tail cut off", names="chain ledger:main: cut since the root",
              sql="DELETE FROM investors_posting WHERE entry_id = (SELECT id FROM investors_entry "
              "ORDER BY seq DESC LIMIT 1); UPDATE investors_unitentry SET entry_id = NULL WHERE "
              "entry_id = (SELECT id FROM investors_entry ORDER BY seq DESC LIMIT 1); "
              "DELETE FROM investors_entry WHERE seq = (SELECT max(seq) FROM investors_entry)"),
    Tampering(name="the audit trail's tail cut off", names="chain audit:main: cut since the root",
              sql="DELETE FROM core_auditevent WHERE seq > (SELECT max(seq) - 3 FROM "
              "core_auditevent)"),
    Tampering(name="the body of an audit line", names="audit chain main: line 5: its hash",
              sql="UPDATE core_auditevent SET body = '{\"a\": 1}' WHERE seq = 5"),
    Tampering(name="the actor of an audit line and the whole chain",
              names="chain audit:main: built anew", rebuild=("audit",),
              sql="UPDATE core_auditevent SET actor_label = 'nobody' WHERE seq = 5"),
    Tampering(name="an audit line removed", names="rows are missing",
              sql="DELETE FROM core_auditevent WHERE seq = 5"),
    Tampering(name="units of a movement", names="unit movement 1: its hash is not that",
              sql="UPDATE investors_unitentry SET units = units + 1 WHERE seq = 1"),
    Tampering(name="units of a movement, its lot, holding and chain", names="ledger",
              rebuild=("units",),
              sql="UPDATE investors_unitentry SET units = units + 1 WHERE seq = 1; "
              "UPDATE investors_unitlot SET units = units + 1 WHERE id = (SELECT lot_id FROM "
              "investors_unitentry WHERE seq = 1); UPDATE investors_holding SET units = units + 1 "
              "WHERE id = (SELECT holding_id FROM investors_unitlot l JOIN investors_unitentry u "
              "ON u.lot_id = l.id WHERE u.seq = 1)"),
    Tampering(name="units minted in register, ledger and chains",
              names="register of main: ", rebuild=("units", "ledger"), rehash_content=True,
              sql="UPDATE investors_unitentry SET units = units + 1 WHERE seq = 1; "
              "UPDATE investors_unitlot SET units = units + 1 WHERE id = (SELECT lot_id FROM "
              "investors_unitentry WHERE seq = 1); UPDATE investors_holding SET units = units + 1 "
              "WHERE id = (SELECT holding_id FROM investors_unitlot l JOIN investors_unitentry u "
              "ON u.lot_id = l.id WHERE u.seq = 1); UPDATE investors_posting p SET amount = "
              "p.amount + sign(p.amount) FROM investors_unitentry u WHERE u.seq = 1 AND p.entry_id "
              "= u.entry_id AND p.lot = u.lot_id AND p.currency LIKE 'U:%'"),
    Tampering(name="the high-water mark of a movement", names="its hash is not that",
              sql="UPDATE investors_unitentry SET high_water_mark = high_water_mark + 1 "
              "WHERE seq = 1"),
    Tampering(name="units of a lot", names="lot 1: register",
              sql="UPDATE investors_unitlot SET units = units + 1 WHERE number = 1"),
    Tampering(name="the mark of a lot", names="lot 1: mark",
              sql="UPDATE investors_unitlot SET high_water_mark = high_water_mark + 5 "
              "WHERE number = 1"),
    Tampering(name="the entry price of a lot", names="lot 1: price",
              sql="UPDATE investors_unitlot SET entry_price = entry_price - 5 WHERE number = 1"),
    Tampering(name="the cost of a lot", names="lot 1: cost",
              sql="UPDATE investors_unitlot SET cost = cost * 2 WHERE number = 1"),
    Tampering(name="a lot given to another holder", names="unit movement",
              sql="UPDATE investors_unitlot SET holding_id = (SELECT id FROM investors_holding "
              "WHERE id <> investors_unitlot.holding_id AND share_class_id = "
              "investors_unitlot.share_class_id LIMIT 1) WHERE number = 1"),
    Tampering(name="units of a holding", names="sum of its lots",
              sql="UPDATE investors_holding SET units = units + 1 WHERE id = "
              "(SELECT min(id) FROM investors_holding)"),
    Tampering(name="reserved units", names="units reserved, open orders ask for",
              sql="UPDATE investors_holding SET reserved_units = units WHERE id = "
              "(SELECT min(id) FROM investors_holding WHERE units > 0)"),
    Tampering(name="the amount of an order", names="taken in as",
              sql="UPDATE investors_dealingorder SET amount = amount * 2 WHERE id = (SELECT id "
              "FROM investors_dealingorder WHERE kind = 'subscription' ORDER BY id LIMIT 1)"),
    Tampering(name="the holder of an order", names=": holder",
              sql="UPDATE investors_dealingorder SET investor_id = (SELECT id FROM "
              "investors_investor i WHERE i.id <> investor_id LIMIT 1) WHERE id = (SELECT id FROM "
              "investors_dealingorder ORDER BY id LIMIT 1)"),
    Tampering(name="the dealt price of an order", names="units moved at",
              sql="UPDATE investors_dealingorder SET dealt_price = dealt_price - 1 WHERE id = "
              "(SELECT id FROM investors_dealingorder WHERE dealt_units > 0 LIMIT 1)"),
    Tampering(name="the price of a class", names="recomputed",
              sql="UPDATE investors_classnav SET price = price + 0.01"),
    Tampering(name="the value of a lot at a NAV", names="stored class",
              sql="UPDATE investors_lotnav SET net_value = net_value + 1 WHERE id = "
              "(SELECT min(id) FROM investors_lotnav)"),
    Tampering(name="the inputs of a NAV", names="its inputs are not those",
              sql="UPDATE investors_navstrike SET inputs = inputs || '{\"net_assets\": \"1\"}'"),
    Tampering(name="the result of a NAV and its approval", names="stored result hash",
              sql="UPDATE investors_navstrike SET result_hash = repeat('0', 64), approved_hash = "
              "repeat('0', 64)"),
    Tampering(name="the approver of a NAV", names="did not hold the right nav.approve",
              sql="UPDATE investors_navstrike s SET approved_by_id = (SELECT u.id FROM core_user u "
              "WHERE u.person <> (SELECT person FROM core_user WHERE id = s.prepared_by_id) AND "
              "NOT EXISTS (SELECT 1 FROM core_rolegrant g WHERE g.user_id = u.id AND g.role = "
              "'controller') LIMIT 1)"),
    Tampering(name="two accounts made one person", names="signed twice by one person",
              sql="UPDATE core_user SET person = (SELECT person FROM core_user WHERE email = "
              "'scenario.maker@example.com') WHERE email = 'scenario.checker@example.com'"),
    Tampering(name="a role granted by hand", names="no audit line tells of its grant",
              sql="INSERT INTO core_rolegrant (user_id, role, granted_at) SELECT id, 'auditor', "
              "now() FROM core_user WHERE email = 'scenario.maker@example.com'"),
    Tampering(name="a role granted earlier than it was", names="core_rolegrant",
              sql="UPDATE core_rolegrant SET granted_at = granted_at - interval '1 year'"),
    Tampering(name="what a holder was shown", names="shown",
              sql="UPDATE investors_investorsnapshot SET value = value + 10 WHERE NOT is_estimate"),
    Tampering(name="what a holder put in", names="put in, recomputed",
              sql="UPDATE investors_investorsnapshot SET net_invested = net_invested + 10 "
              "WHERE NOT is_estimate"),
    Tampering(name="the terms of a class", names="the terms are not those that were signed",
              sql="UPDATE investors_classpolicyversion SET terms = terms || "
              "'{\"management_rate\": \"0\"}'"),
    Tampering(name="the terms with their hash", names="no audit line class.terms",
              sql="UPDATE investors_classpolicyversion SET content_hash = repeat('0', 64)"),
    Tampering(name="when terms begin", names="investors_classpolicyversion",
              sql="UPDATE investors_classpolicyversion SET effective_from = effective_from - "
              "interval '1 day'"),
    Tampering(name="a position", names="recomputed from fills",
              sql="UPDATE trading_position SET quantity = quantity + 1"),
    Tampering(name="the profit of a fill", names="stored profit",
              sql="UPDATE trading_fill SET realised = realised + 1 WHERE id = "
              "(SELECT max(id) FROM trading_fill)"),
    Tampering(name="the quantity of a fill", names="its fills add to",
              sql="UPDATE trading_fill SET quantity = quantity * 2 WHERE id = "
              "(SELECT max(id) FROM trading_fill)"),
    Tampering(name="the state of an order", names="its events lead to",
              sql="UPDATE trading_order SET state = 'REJECTED' WHERE id = (SELECT id FROM "
              "trading_order WHERE state = 'FILLED' LIMIT 1)"),
    Tampering(name="the quantity of an order", names="the check that it names",
              sql="UPDATE trading_order SET quantity = quantity * 2 WHERE id = (SELECT id FROM "
              "trading_order WHERE state = 'FILLED' AND pretrade_check IS NOT NULL LIMIT 1)"),
    Tampering(name="a verdict of the check", names="the check that it names did not accept it",
              sql="UPDATE risk_pretradecheck SET accepted = false WHERE id = (SELECT "
              "pretrade_check FROM trading_order WHERE state = 'FILLED' AND pretrade_check IS NOT "
              "NULL LIMIT 1)"),
    Tampering(name="the result of a trade", names="of fills",
              sql="UPDATE trading_trade SET gross_pnl = gross_pnl + 5, net_pnl = net_pnl + 5 WHERE "
              "id = (SELECT id FROM trading_trade LIMIT 1)"),
    Tampering(name="the sums of a day", names="are not those of its closed trades",
              sql="UPDATE trading_tradeday SET net = net + 1"),
    Tampering(name="a funding payment", names="recomputed",
              sql="UPDATE trading_fundingpayment SET amount = amount * 3 WHERE id = "
              "(SELECT min(id) FROM trading_fundingpayment)"),
    Tampering(name="a transfer to the venue", names="recomputed from transfers",
              sql="UPDATE trading_bookflow SET amount = amount + 1"),
    Tampering(name="the reason of a stop", names="risk_fuseevent",
              sql="UPDATE risk_fuseevent SET reason = 'nothing' WHERE id = "
              "(SELECT id FROM risk_fuseevent LIMIT 1)"),
    Tampering(name="an arming without its reset", names="no approved reset stands behind it",
              sql="UPDATE risk_fusetransition SET reset_id = NULL WHERE state = 'ARMED' AND "
              "scope = 'fund'"),
    Tampering(name="dealing suspended by hand", names="what was decided says that it is open",
              sql="UPDATE investors_fund SET is_suspended = true"),
    Tampering(name="a suspension in two names", names="no audit line suspension.decided tells",
              sql="INSERT INTO investors_suspensionproposal (id, fund_id, suspends, reason, "
              "notice, from_last_nav, proposed_by_id, proposed_at, decided_by_id, decided_at, "
              "is_approved) SELECT gen_random_uuid(), f.id, true, 'x', 'x', false, a.id, now(), "
              f"b.id, now(), true FROM investors_fund f, {TWO_PEOPLE}"),
    Tampering(name="a running cost in two names", names="no audit line expense.approved tells",
              sql="INSERT INTO investors_expense (id, fund_id, account, supplier, reference, "
              "amount, is_yearly, first_day, reason, proposed_by_id, proposed_at, decided_by_id, "
              "decided_at, is_approved) SELECT gen_random_uuid(), f.id, '5040', 'x', 'x', 1, "
              "true, now(), '', a.id, now(), b.id, now(), true FROM "
              f"investors_fund f, {TWO_PEOPLE}"),
    Tampering(name="a side pocket in two names", names="no audit line pocket.approved tells",
              sql="INSERT INTO investors_sidepocket (id, fund_id, number, asset, account, value, "
              "cause, notice, reason, proposed_by_id, proposed_at, decided_by_id, decided_at, "
              "is_approved) SELECT gen_random_uuid(), f.id, 99, 'x', '1030', 1, 'x', 'x', '', "
              "a.id, now(), b.id, now(), true FROM "
              f"investors_fund f, {TWO_PEOPLE}"),
    Tampering(name="a rebate in two names", names="no audit line rebate.approved tells",
              sql="INSERT INTO investors_rebate (id, investor_id, share_class_id, "
              "management_share, performance_share, first_day, reference, reason, "
              "proposed_by_id, proposed_at, decided_by_id, decided_at, is_approved) SELECT "
              "gen_random_uuid(), h.investor_id, h.share_class_id, 1, 0, '2099-01-01', 'x', '', "
              "a.id, now(), b.id, now(), true FROM (SELECT * FROM investors_holding LIMIT 1) h, "
              f"{TWO_PEOPLE}"),
    Tampering(name="par in two names", names="no audit line par.approved tells",
              sql="INSERT INTO investors_parterm (id, fund_id, coin, is_at_par, first_day, "
              "reference, reason, proposed_by_id, proposed_at, decided_by_id, decided_at, "
              "is_approved) SELECT gen_random_uuid(), f.id, 'USDC', true, '2099-01-01', 'x', '', "
              f"a.id, now(), b.id, now(), true FROM investors_fund f, {TWO_PEOPLE}"),
    Tampering(name="a rate in two names", names="no audit line rate.approved tells",
              sql="INSERT INTO investors_rateproposal (id, fund_id, coin, currency, source, "
              "lines, reason, proposed_by_id, proposed_at, decided_by_id, decided_at, is_approved) "
              "SELECT gen_random_uuid(), f.id, 'USDC', 'USD', 'x', '[]', '', a.id, now(), b.id, "
              f"now(), true FROM investors_fund f, {TWO_PEOPLE}"),
)  # fmt: skip
#: One of every kind, with every change.
SAMPLE = {
    "a balanced pair and the whole chain", "the text of an entry", "the ledger's tail cut off",
    "the actor of an audit line and the whole chain", "units minted in register, ledger and chains",
    "a lot given to another holder", "the approver of a NAV", "a role granted by hand",
    "the state of an order", "what a holder was shown", "a suspension in two names",
    "a running cost in two names",
}  # fmt: skip


@pytest.fixture(scope="module")
def books(module_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fund of a month whose root has left, seen by a superuser; yields its home."""
    from django.conf import settings

    home, before = tmp_path_factory.mktemp("books"), settings.MAGNET_HOME
    settings.MAGNET_HOME = home
    make_root_keys(home / "keys")
    plain = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(
        parse_database_url("t", module_database.dsn("fa_gateway", "module"))
    )
    replay("main", make_candles(), days=33)
    make_root()
    connection.close()
    connection.settings_dict.update(
        parse_database_url("t", module_database.dsn("postgres", "module"))
    )
    yield home
    connection.close()
    connection.settings_dict.update(plain)
    settings.MAGNET_HOME = before


@pytest.fixture
def as_superuser(books: Path, django_db_blocker: Any) -> Iterator[Path]:
    with django_db_blocker.unblock():
        yield books


def find_all() -> list[str]:
    """Everything that `verify_books` looks at."""
    return [
        *verify_fund(Fund.objects.get()),
        *find_audit_breaks(),
        *find_untold_grants(),
        *find_root_differences(),
    ]


def tamper(item: Tampering) -> list[str]:
    """The findings after one tampering, which is rolled back."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(
                "SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
                "WHERE NOT t.tgisinternal"
            )
            for (table,) in cursor.fetchall():
                cursor.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
            cursor.execute(item.sql)
            assert cursor.rowcount != 0, "nothing was tampered with"
            if item.rehash_content:
                for link, _, text in list(read_entries(Fund.objects.get())):
                    cursor.execute(
                        "UPDATE investors_entry SET content_hash = %s WHERE seq = %s",
                        [hashlib.sha256(text.encode()).hexdigest(), link.seq],
                    )
            for chain in item.rebuild:
                cursor.execute(REBUILD[chain])
        found = find_all()
        transaction.set_rollback(True)
    connection.close()
    return found


def test_there_are_forty_and_untouched_books_are_clean(as_superuser: Path):
    assert len(TAMPERINGS) >= 40
    assert len({item.name for item in TAMPERINGS}) == len(TAMPERINGS)
    assert {item.name for item in TAMPERINGS} >= SAMPLE
    assert find_all() == []


@pytest.mark.parametrize(
    "item",
    [
        *(pytest.param(item, id=item.name) for item in TAMPERINGS if item.name in SAMPLE),
        *(
            pytest.param(item, id=item.name, marks=pytest.mark.drill)
            for item in sampled([item for item in TAMPERINGS if item.name not in SAMPLE], 8)
        ),
    ],
)
def test_a_superusers_tampering_is_found_and_named(as_superuser: Path, item: Tampering):
    found = tamper(item)
    assert any(item.names in line for line in found), found


def change_file(path: Path, change: Callable[[Any], None]) -> str:
    before = path.read_text()
    raw = json.loads(before)
    change(raw)
    path.write_text(json.dumps(raw))
    return before


class TestWhatLeft:
    def test_a_changed_or_missing_root_is_named(self, as_superuser: Path):
        path = as_superuser / "roots" / "root-000001.json"
        before = change_file(
            path, lambda raw: raw["document"].update(made_at="2020-01-01T00:00:00Z")
        )
        try:
            found = find_root_differences()
            assert "root 1: its signature is wrong" in found
            assert "root 1: its file is not the one that the audit trail tells of" in found
            path.unlink()
            assert find_root_differences() == ["root 1: its file is missing from the home"]
        finally:
            path.write_text(before)

    def test_changed_digests_of_rows_are_named(self, as_superuser: Path):
        path = as_superuser / "roots" / "rows.gz"
        before = path.read_bytes()
        try:
            path.write_bytes(before + b"more")
            assert find_root_differences() == [
                "the digests of the rows are not those that the last root tells of"
            ]
        finally:
            path.write_bytes(before)

    def test_every_append_only_table_is_sealed_or_says_why_not(self):
        declared = set(declared_append_only())
        assert set(UNSEALED) <= declared
        assert set(whole_tables()) == declared - set(UNSEALED)
        books = {"core_auditevent", "investors_posting", "investors_unitentry", "trading_fill"}
        assert books <= set(whole_tables())


class TestOffline:
    @pytest.fixture
    def folder(self, as_superuser: Path, tmp_path: Path) -> Path:
        call_command("export_books", str(tmp_path / "out"))
        return tmp_path / "out"

    def run(self, folder: Path, *more: str) -> tuple[int, str]:
        """The shipped program, isolated from every installed package."""
        result = subprocess.run(
            [sys.executable, "-I", "-S", "check_books.py", "books.jsonl.gz", "root.json", *more],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return result.returncode, result.stdout + result.stderr

    def test_the_books_check_without_this_site_or_any_package(self, folder: Path):
        code, said = self.run(folder)
        assert (code, "The books are right." in said) == (0, True), said
        assert "signed by" in said

    def test_another_key_a_changed_root_and_a_changed_row_are_wrong(self, folder: Path):
        import gzip

        code, said = self.run(folder, "00" * 32)
        assert (code, "not signed by this key" in said) == (1, True)
        before = change_file(
            folder / "root.json", lambda raw: raw["document"]["units"]["main"].update(units="1")
        )
        code, said = self.run(folder)
        assert code == 1
        assert "not signed by this key" in said
        assert "register of main: 1 units in the root" in said
        (folder / "root.json").write_text(before)
        path = folder / "books.jsonl.gz"
        lines = gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)
        number = next(n for n, line in enumerate(lines) if '"ledger:main"' in line)
        row = json.loads(lines[number])
        row["text"] = row["text"].replace("]", ', "gift"]')
        lines[number] = json.dumps(row) + "\n"
        path.write_bytes(gzip.compress("".join(lines).encode()))
        code, said = self.run(folder)
        assert code == 1
        assert "its hash is not that of its content" in said

    def test_the_signature_program_agrees_with_the_library(self):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        for number in range(8):
            key = Ed25519PrivateKey.generate()
            public, text = key.public_key().public_bytes_raw(), f"text {number}".encode()
            signature = key.sign(text)
            assert check_books.is_signed(public, text, signature)
            assert not check_books.is_signed(public, text + b"x", signature)
            wrong = bytes([signature[0] ^ 1]) + signature[1:]
            assert not check_books.is_signed(public, text, wrong)
            assert not check_books.is_signed(public, text, signature[:32] + b"\xff" * 32)
