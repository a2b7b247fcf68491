"""The rarer roads of an investment.

Papers of every deal, units proved offline, units given to another holder, a dealing day and the end
of a fiscal period in a suspension, and an investor who leaves whole.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from magnetfund.tests.chain_dealing import add_payee, pay_out, redeem, strike
from magnetfund.tests.chain_founding import STRANGERS, Chain
from magnetfund.tests.chain_goes_on import decide_on_dealing
from magnetfund.tests.chain_support import Person

#: A purchase, two parts of a redemption and a switch of both legs.
NOTES = 4


def every_deal_has_its_note(chain: Chain) -> None:
    tomasz = chain["tomasz"].go("/statements/").see("own-papers")
    links = tomasz.page.locator('a[href*="/notes/"]')
    assert links.count() == NOTES
    for number in range(NOTES):
        assert download(tomasz, links.nth(number)).startswith(b"%PDF")
    order = tomasz.go(chain.orders["redemption"]).text()
    assert "Units 40 Dealing day" in order, "what was asked for, not what the gate left of it"


def units_are_proved_offline(chain: Chain) -> None:
    """By the two files that the portal hands out; one changed digit and they say no."""
    iris, folder = chain["iris"], chain.home.root.parent
    page = iris.wait_for("/proof/", "Your units are in the published root")
    iris.see("proof")
    (root,) = re.findall(r"Root of the day number \d+ ([0-9a-f]{64})", page)
    for name, link in (("proof.json", 'a[href*="proof-"]'), ("check.py", 'a[href*="check_units"]')):
        (folder / name).write_bytes(download(iris, iris.page.locator(link).first))
    said = check_units(folder)
    assert said.returncode == 0, said.stdout + said.stderr
    assert check_units(folder, root).returncode == 0
    assert check_units(folder, "f" * 64).returncode == 1
    proof = (folder / "proof.json").read_text()
    lot = json.loads(proof)["lots"][0]
    for value in (lot["salt"], lot["units"], lot["neighbours"][0]["digest"]):
        other = str((int(value[0], 16) + 1) % 10) + value[1:]
        (folder / "proof.json").write_text(proof.replace(value, other, 1))
        changed = check_units(folder)
        assert changed.returncode == 1, changed.stdout
        assert "Traceback" not in changed.stderr


def download(person: Person, link: object) -> bytes:
    with person.page.expect_download() as got:
        link.click()  # type: ignore[attr-defined]
    return Path(got.value.path()).read_bytes()


def check_units(folder: Path, *root: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", "check.py", "proof.json", *root], cwd=folder,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def iris_gives_units_to_tomasz(chain: Chain) -> None:
    """35 units of class A by the accountant and the controller, who signs; each has a note."""
    dmitri, mira, page = chain["dmitri"], chain["mira"], "/desk/fund/proposals/"
    iris, tomasz = STRANGERS["iris"], STRANGERS["tomasz"]
    names = [item.number for item in (iris, tomasz)]
    dmitri.go(page).fill(
        kind="transfer", investor=names[0], receiver=names[1], share_class="class A", units="35",
        reason="deed of gift of 3 March",
    )  # fmt: skip
    assert "proposed" in dmitri.press("Propose").lower()
    assert "another person decides" in dmitri.see("transfer-own").text()
    assert dmitri.page.get_by_role("button", name="Approve").count() == 0
    assert "A dealing for Iris Vandermeer waits" in mira.go("/desk/").see("today-transfer").text()
    mira.go(page).see("transfer-proposed").press("Approve")
    assert "the holder is told" in mira.sign("Approve")
    mira.see("transfer-done")
    for name, words in (
        ("iris", "Units given to Tomasz Wieczorek"),
        ("tomasz", "Units received from Iris Vandermeer"),
    ):  # fmt: skip
        person = chain[name].go("/messages/").see(f"transfer-told-{name}")
        assert "35 units" in person.text()
        assert words in person.go("/statements/").see(f"transfer-note-{name}").text()
        note = person.page.locator('a[href*="/transfers/"]').first
        assert download(person, note).startswith(b"%PDF")
        person.go("/overview/").see(f"transfer-overview-{name}")
    register = dmitri.go("/desk/fund/register/").see("transfer-register").text()
    assert "How it ties to the NAV" in register


def iris_asks_for_everything(chain: Chain) -> None:
    add_payee(chain, "iris")
    chain.orders["leave"] = redeem(chain, "iris", what="all", size="", says="Redeem all 24.")


def the_year_ends_in_a_suspension(chain: Chain) -> None:
    """Suspended after the cut-off, opened after the dealing day, with which the year ended."""
    day, home = chain.next_day(after=chain.home.now()), chain.home
    home.move_to(day - timedelta(days=3))
    decide_on_dealing(chain, by=("mia", "mira"), notice="No dealing over the first of the month")
    assert "Your order is kept" in chain["iris"].go(chain.orders["leave"]).see("kept").text()
    home.move_to(day + timedelta(days=2))
    dmitri = chain["dmitri"]
    assert "Prepare NAV" not in dmitri.go("/desk/fund/").see("nav-suspended").text()
    assert "is due" not in dmitri.go("/desk/").see("today-suspended").text()
    decide_on_dealing(chain, by=("mira", "mia"), notice="Dealing is open from today")
    after = chain.next_day(after=home.now())
    told = f"dealt at the NAV of {after.day} {after:%b %Y}. You can take it back until"
    iris = chain["iris"]
    assert told in iris.go("/messages/").see("passed-over").text()
    page = iris.go(chain.orders["leave"]).see("carried-over").text()
    assert f"Dealing day {after.day} {after:%b %Y}" in page
    assert "Cancel this order" in page


def iris_leaves_whole(chain: Chain) -> None:
    """The year's fee is taken first, by a NAV of its own; then she deals, is paid and holds
    nothing, while Tomasz stays in the class."""
    strike(chain)
    iris, dmitri = chain["iris"], chain["dmitri"]
    page = iris.go(chain.orders["leave"]).see("left").text()
    assert "Payment due" in page
    assert "Units of A held afterwards 0 " in page
    pay_out(chain, "iris", "P-00003")
    assert "Settled" in iris.go(chain.orders["leave"]).see("left-paid").text()
    for path in ("/overview/", "/activity/", "/statements/", "/proof/", "/redeem/", "/my-risk/"):
        iris.go(path).see(f"left-{path.strip('/')}")
    register = dmitri.go("/desk/fund/register/").see("left-register").text()
    assert "Iris Vandermeer" not in register
    assert "Tomasz Wieczorek" in register
