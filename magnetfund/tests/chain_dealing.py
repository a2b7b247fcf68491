"""Dealing days of an empty production home: orders, money, NAVs and payments, by its people."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from magnetfund.tests.chain_founding import IBAN, STRANGERS, Chain

STATEMENT_HEADS = "reference,booked_at,amount,currency,party,party_account,text,end_to_end"


def subscribe(chain: Chain, name: str) -> str:
    """The order that the applicant named the amount of; its path."""
    person, amount = chain[name], STRANGERS[name].amount
    person.go("/overview/").see(f"no-units-{name}").press("Subscribe", "main")
    assert person.page.locator("[name=amount]").input_value() == amount
    person.press("Calculate")
    person.press("Continue to confirmation")
    page = person.see("subscribe").press("Order the subscription", understood=True)
    assert f"waiting for {int(amount):,}.00 USD" in page
    assert IBAN in page
    return str(person.see("order").page.url)


def pay_in(chain: Chain, name: str, order: str, *amounts: str) -> None:
    """Wires that arrive a day after another; a person decides, for the sender is new."""
    stranger, person = STRANGERS[name], chain[name]
    reference = "S-" + order.rstrip("/").rsplit("/", 1)[1][:8].upper()
    for number, amount in enumerate(amounts):
        at = chain.next_day(after=chain.home.now()) - timedelta(days=7 - number)
        chain.home.move_to(at.replace(hour=9))
        line = f"IN-{reference}-{number},{at:%Y-%m-%d}T08:00:00Z,{amount},USD"
        import_line(chain, f"{line},{stranger.full_name},{stranger.iban},{reference},")
        dmitri = chain["dmitri"].see(f"money-{name}-{number}")
        dmitri.press("Decide")
        assert "Saved" in dmitri.press("Save the decision")
        is_last = number == len(amounts) - 1
        said = "money is here" if is_last else f"{float(amount):,.2f} USD arrived"
        assert said in person.go(order).see(f"paid-{name}-{number}").text()


def import_line(chain: Chain, line: str) -> str:
    file = chain.home.root.parent / "statement.csv"
    file.write_text(f"{STATEMENT_HEADS}\n{line}\n")
    dmitri = chain["dmitri"].go("/desk/fund/money/")
    dmitri.fill('form[action$="/upload/"]', file=str(file)).press("Read the file")
    page = dmitri.press("Import")
    assert "Imported: 1 new lines" in page
    return page


def strike(chain: Chain) -> datetime:
    """NAV and dealing of the next day, by accountant and controller, who signs what the rows say.

    The end of a fiscal period that lies before it has a NAV of its own.
    """
    chain.day = chain.next_day(after=chain.home.now())
    chain.home.move_to(chain.day.replace(hour=8))
    dmitri, mira = chain["dmitri"], chain["mira"]
    is_due = True
    while is_due:
        assert "NAV prepared" in dmitri.go("/desk/fund/").press("Prepare NAV")
        mira.go("/desk/fund/").see(f"nav-{chain.day:%Y%m%d}").press("Approve NAV")
        page = mira.sign("Approve NAV")
        assert "NAV approved and orders dealt" in page
        is_due = "Prepare NAV of" in dmitri.go("/desk/fund/").text()
    dmitri.see(f"struck-{chain.day:%Y%m%d}")
    return chain.day


def add_payee(chain: Chain, name: str) -> None:
    stranger, form = STRANGERS[name], 'form[action$="/payees/add/"]'
    chain["dmitri"].go("/desk/fund/accounts/").fill(
        form, investor=stranger.number, kind="bank", name=stranger.full_name,
        number=stranger.iban, bank=stranger.bic, currency="USD", evidence="call-back",
    ).press("Propose account", form)  # fmt: skip
    chain["mira"].go("/desk/fund/accounts/").press("Approve account")
    assert "can be paid from" in chain["mira"].sign("Approve account")


def redeem(chain: Chain, name: str, *, what: str, size: str, says: str) -> str:
    """An order through the page that tries it out; its path."""
    person = chain[name].go("/redeem/").fill(share_class="A", what=what, size=size)
    person.press("Calculate")
    person.page.get_by_role("link", name="Continue to confirmation").wait_for()
    person.see(f"redeem-{what}").press("Continue to confirmation")
    assert says in person.see(f"redeem-{what}-confirm").text()
    assert "Accepted" in person.press("Order the redemption", understood=True)
    return str(person.page.url)


def pay_out(chain: Chain, name: str, reference: str) -> str:
    """Prepared by one, signed by another, released, and paid once the bank says so; the amount."""
    stranger = STRANGERS[name]
    dmitri, mira = (
        chain["dmitri"].go("/desk/fund/payments/").see(f"owed-{reference}"),
        chain["mira"],
    )
    assert f"{reference} is prepared" in dmitri.press("Prepare payment")
    mira.go("/desk/fund/payments/").press("Approve payment")
    payment = str(mira.page.url)
    mira.press("Approve payment")
    assert "done" in mira.sign("Approve payment")
    assert "done" in dmitri.go(payment).press("Release payment")
    paid = re.search(r"Amount ([\d,.]+) USD", dmitri.text())
    assert paid is not None
    amount = paid[1].replace(",", "")
    chain.home.move_to(chain.home.now() + timedelta(days=3))
    at = chain.home.now() - timedelta(hours=1)
    line = f"OUT-{reference},{at:%Y-%m-%dT%H:%M:%SZ},-{amount},USD,{stranger.full_name}"
    told = import_line(chain, f"{line},{stranger.iban},Redemption,{reference}")
    assert "1 matched" in told
    assert "Confirmed" in dmitri.go(payment).see(f"confirmed-{reference}").text()
    return amount
