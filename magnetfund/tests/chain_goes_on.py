"""Iris joins, Tomasz switches class, dealing is suspended and opened again, and what the gate
carried over is dealt and paid."""

from __future__ import annotations

from magnetfund.tests.chain_dealing import pay_in, pay_out, strike, subscribe
from magnetfund.tests.chain_founding import Chain, join


def iris_joins(chain: Chain) -> None:
    """6,000 for the day on which the rest of Tomasz's redemption deals."""
    join(chain, "iris")
    chain.orders["iris"] = subscribe(chain, "iris")


def tomasz_switches(chain: Chain) -> None:
    tomasz = chain["tomasz"].go("/switch/").see("switch-empty")
    tomasz.fill(share_class="A", into="B", what="units", size="60").press("Calculate")
    tomasz.page.get_by_role("link", name="Continue to confirmation").wait_for()
    assert "Which class would cost less" in tomasz.see("switch").text()
    tomasz.press("Continue to confirmation")
    tomasz.see("switch-confirm")
    assert "Accepted" in tomasz.press("Order the switch", understood=True)
    chain.orders["switch"] = str(tomasz.see("switch-order").page.url)


def dealing_is_suspended_and_opened(chain: Chain) -> None:
    """Director and controller sign, each way; in between no order is taken and no NAV struck."""
    tomasz = chain["tomasz"]
    for by, notice in (
        (("mia", "mira"), "No dealing until the exchange is back"),
        (("mira", "mia"), "Dealing is open again"),
    ):
        is_shut = by[0] == "mia"
        decide_on_dealing(chain, by=by, notice=notice)
        assert notice in tomasz.go("/messages/").see(f"told-{is_shut}").text()
        page = tomasz.go("/redeem/?share_class=A&what=units&size=1").see(f"shut-{is_shut}").text()
        assert ("suspended" in page) == is_shut
        assert ("suspended" in chain["dmitri"].go("/desk/fund/").text().lower()) == is_shut


def decide_on_dealing(chain: Chain, *, by: tuple[str, str], notice: str) -> None:
    """Dealing is suspended, or opened where it is, by a proposer and a signer whom Today tells."""
    proposer, signer = (chain[name] for name in by)
    is_open = "Suspend dealing" in proposer.go("/desk/fund/suspension/").text()
    proposer.fill(reason="outage of the exchange", notice=notice)
    assert "Proposed" in proposer.press("Propose")
    assert "You proposed it" in proposer.see(f"suspension-own-{is_open}").text()
    what = "suspend dealing" if is_open else "open dealing again"
    assert f"Sign or decline: {what}" in signer.go("/desk/").text()
    signer.go("/desk/fund/suspension/").see(f"suspension-{is_open}")
    signer.press("Sign", "main")
    assert "Signed; holders are told" in signer.sign("Sign", "main")
    signer.go("/desk/fund/suspension/").see(f"suspension-done-{is_open}")


def the_rest_is_dealt_and_paid(chain: Chain) -> None:
    pay_in(chain, "iris", chain.orders["iris"], "6000.00")
    strike(chain)
    tomasz = chain["tomasz"]
    page = tomasz.go(chain.orders["redemption"]).see("carried").text()
    assert "Dealt 40 units in 2 parts, the last at" in page
    assert "Settled" not in page
    switched = tomasz.go(chain.orders["switch"]).see("switched").text()
    assert "A into B" in switched
    assert "Settled" in switched
    pay_out(chain, "tomasz", "P-00002")
    assert "Settled" in tomasz.go(chain.orders["redemption"]).see("carried-paid").text()
    for name in ("tomasz", "iris"):
        chain[name].go("/overview/").see(f"overview-{name}")
        chain[name].go("/navs/").see(f"navs-{name}")
        chain[name].go("/activity/").see(f"activity-{name}")
    register = chain["dmitri"].go("/desk/fund/register/").see("register").text()
    assert "How it ties to the NAV" in register
