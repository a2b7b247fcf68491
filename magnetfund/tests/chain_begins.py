"""A stranger applies on a phone and is approved by two, a short wire is topped up, two people
strike the NAV, a redemption meets the gate and is paid by two."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from magnetfund.tests.chain_dealing import add_payee, pay_in, pay_out, redeem, strike, subscribe
from magnetfund.tests.chain_founding import Chain, join

OWN_PAGES = ("/overview/", "/navs/", "/activity/", "/my-risk/", "/messages/", "/trades/")


def invest(chain: Chain) -> None:
    """Tomasz joins, pays 10,000 in two wires, and holds 100 units with a contract note."""
    join(chain, "tomasz")
    order = subscribe(chain, "tomasz")
    pay_in(chain, "tomasz", order, "7500.00", "2500.00")
    strike(chain)
    tomasz = chain["tomasz"]
    page = tomasz.go(order).see("dealt").text()
    assert "Settled" in page
    assert "100 units at 100.000000" in page
    with tomasz.page.expect_download() as note:
        tomasz.page.locator('a[href$=".pdf"]').first.click()
    assert Path(note.value.path()).read_bytes().startswith(b"%PDF")
    for path in OWN_PAGES:
        tomasz.go(path).see(path.strip("/"))
    assert "100.000000" in tomasz.go("/navs/").text()


def redeem_through_the_gate(chain: Chain) -> None:
    """Units for 3,920 after the exit fee, through a gate of 25 %: what left is paid, the rest
    waits."""
    chain.home.move_to(chain.home.now() + timedelta(days=2))
    add_payee(chain, "tomasz")
    order = redeem(chain, "tomasz", what="amount", size="3920", says="40 units")
    chain.orders["redemption"] = order
    strike(chain)
    page = chain["tomasz"].go(order).see("deferred").text()
    assert "Deferred · 15 units deferred to" in page
    assert "Dealt 25 units at" in page
    pay_out(chain, "tomasz", "P-00001")
