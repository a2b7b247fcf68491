"""A production fund is armed by two people's signatures and by nothing else."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client, override_settings

from investors.models import Fund, NavStrike, Payment
from magnetfund.core.actors import Actor
from magnetfund.core.models import Signature, User
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import (
    ARM,
    LIMITS,
    NAV,
    PAYMENT,
    SignatureMissing,
    ask_to_sign,
)
from magnetfund.operations.signature_check import find_bad_signatures
from magnetfund.signer import proofs
from magnetfund.tests.soft_passkey import VERIFIED, SoftPasskey
from magnetfund.tests.walls_support import NOON, make_user, reconcile_books, say_kind, trip_fuse
from risk.domain.limits import Limits, figures_of
from risk.models import FuseReset
from risk.services.fuse import state_of
from risk.services.fuse_reset import approve_reset, propose_reset
from risk.services.limits import approve_limits, limits_in_force, propose_limits

pytestmark = pytest.mark.usefixtures("fresh_database")
ORIGIN = settings.SIGN_URL
SIGNER = override_settings(
    ROOT_URLCONF="magnetfund.signer.urls",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)


@pytest.fixture
def officers(fresh_database: Any) -> tuple[User, User]:
    found = make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER)
    say_kind(fresh_database, "production")
    return found


def read_page(answer: Any) -> tuple[str, dict[str, Any]]:
    """The hidden page and the options of a page of the signer."""
    text = answer.content.decode()
    found = re.search(r'data-options="([^"]*)"', text)
    page = re.search(r'name="page" value="([^"]*)"', text)
    assert page is not None
    options = json.loads(html.unescape(found.group(1))) if found else {}
    return html.unescape(page.group(1)), options


def path_of(url: str) -> str:
    assert url.startswith(f"{ORIGIN}/")
    return url.removeprefix(ORIGIN)


def invite(user: User, capsys: Any) -> str:
    from django.db import connections

    connections["default"].close()
    before = dict(connections["default"].settings_dict)
    connections["default"].settings_dict.update(connections["owner"].settings_dict)
    try:
        call_command("invite", "--email", user.email, "--json")
    finally:
        connections["default"].close()
        connections["default"].settings_dict.update(before)
    return path_of(json.loads(capsys.readouterr().out.splitlines()[-1])["url"])


def enrol(user: User, capsys: Any) -> SoftPasskey:
    passkey, path = SoftPasskey(), invite(user, capsys)
    with SIGNER:
        page, options = read_page(Client().get(path))
        sent = {
            "page": page,
            "method": "passkey",
            "answer": json.dumps(passkey.make(options, origin=ORIGIN)),
        }
        assert "is enrolled" in Client().post(path, sent).content.decode()
        assert Client().get(path).status_code == 404
    return passkey


def ask(user: User, subject: Any, action: str = ARM) -> str:
    return path_of(
        ask_to_sign(action=action, subject=subject, back="/desk/risk/", actor=Actor.of(user))
    )


def sign(path: str, passkey: SoftPasskey, **changes: Any) -> Any:
    with SIGNER:
        page, options = read_page(Client().get(path))
        answer = passkey.sign(options, **{"origin": ORIGIN, **changes})
        sent = {"page": page, "method": "passkey", "answer": json.dumps(answer)}
        return Client().post(path, sent)


def ask_to_arm(maker: User) -> FuseReset:
    trip_fuse(trigger="manual")
    run = reconcile_books()
    return propose_reset(
        book="main",
        reason="the venue answers again",
        reconciliation=str(run.pk),
        actor=Actor.of(maker),
    )


def test_two_signatures_arm_and_one_does_not(officers: tuple[User, User], capsys: Any):
    ann, ben = officers
    keys = {user: enrol(user, capsys) for user in officers}
    reset = ask_to_arm(ann)
    for user in officers:
        with pytest.raises(SignatureMissing):
            approve_reset(reset=reset, actor=Actor.of(ben))
        answer = sign(ask(user, reset.pk), keys[user])
        assert "on record" in answer.content.decode(), answer.content.decode()
        assert state_of("main") == "TRIPPED"
    approve_reset(reset=reset, actor=Actor.of(ben))
    assert state_of("main") == "ARMED"
    assert find_bad_signatures() == []
    row = Signature.objects.get(account=ben.pk)
    assert "the venue answers again" in row.content
    assert (row.method, row.person) == ("passkey", ben.person)


def test_the_words_are_those_of_the_rows_and_nobody_adds_a_line(officers: tuple[User, User]):
    reset = ask_to_arm(officers[0])
    FuseReset.objects.filter(pk=reset.pk)
    forged = propose_limits(
        book="main", figures=figures_of(limits=Limits()), actor=Actor.of(officers[0]),
        effective_from=reset.proposed_at, reason="small\nleverage_max: 1",
    )  # fmt: skip
    with SIGNER:
        text = Client().get(ask(officers[1], forged.pk, LIMITS)).content.decode()
    assert "<li>Reason: small leverage_max: 1</li>" in text
    assert "no signing key yet" in text


@pytest.mark.parametrize("flaw", ["origin", "unverified", "another key", "replayed", "edited"])
def test_an_answer_with_a_flaw_signs_nothing(
    officers: tuple[User, User], capsys: Any, flaw: str, fresh_database: Any
):
    ann, ben = officers
    passkey, reset = enrol(ben, capsys), ask_to_arm(ann)
    path = ask(ben, reset.pk)
    if flaw == "origin":
        answer = sign(path, passkey, origin=settings.PUBLIC_URL)
    elif flaw == "unverified":
        answer = sign(path, passkey, flags=VERIFIED & ~4)
    elif flaw == "another key":
        answer = sign(path, SoftPasskey())
    else:
        with SIGNER:
            page, options = read_page(Client().get(path))
            given = json.dumps(passkey.sign(options, origin=ORIGIN))
            sent = {"page": page, "method": "passkey", "answer": given}
            if flaw == "replayed":
                assert Client().post(path, sent).status_code == 200
                with pytest.raises(Exception, match="nonce"):
                    Client().post(path, sent)
                assert Signature.objects.count() == 1
                return
            User.objects.filter(pk=ann.pk).update(name="Somebody else")
            answer = Client().post(path, sent)
    assert answer.status_code in (400, 409)
    assert not Signature.objects.exists()


def test_codes_count_once_and_wrong_ones_rest_the_key(officers: tuple[User, User], capsys: Any):
    ann, ben = officers
    path = invite(ben, capsys)
    with SIGNER:
        text = Client().get(path)
        secret = base64.b32decode(
            re.search(r"font-monospace\">([A-Z2-7]+)<", text.content.decode())[1]
        )
        page, _ = read_page(text)
        code = proofs.code_at(secret, int(time.time() // 30))
        Client().post(path, {"page": page, "method": "code", "code": code})
        reset = ask_to_arm(ann)
        path = ask(ben, reset.pk)

        def send(value: str) -> str:
            page, _ = read_page(Client().get(path))
            sent = {"page": page, "method": "code", "code": value}
            return Client().post(path, sent).content.decode()

        assert "on record" in send(code)
        assert "wrong, or it was used" in send(code)
        for _ in range(5):
            answer = send("000000")
        assert "too many wrong codes" in send("000000"), answer
    assert Signature.objects.count() == 1


def test_rfc_6238_vectors():
    secret = b"12345678901234567890"
    found = [proofs.code_at(secret, at // 30) for at in (59, 1111111109, 20000000000)]
    assert found == ["287082", "081804", "353130"]


def test_limits_in_force_take_both_signatures(officers: tuple[User, User], capsys: Any):
    ann, ben = officers
    proposal = propose_limits(
        book="main", figures=figures_of(limits=Limits()), reason="launch",
        effective_from=ann.date_joined, actor=Actor.of(ann),
    )  # fmt: skip
    step = {"proposal": proposal, "seen_hash": proposal.content_hash, "actor": Actor.of(ben)}
    for user in (ben, ann):
        with pytest.raises(SignatureMissing):
            approve_limits(**step)
        sign(ask(user, proposal.pk, LIMITS), enrol(user, capsys))
    approve_limits(**step)
    assert limits_in_force("main").version == 1


def test_the_demos_button_signs_in_the_demo_alone(officers: tuple[User, User], fresh_database: Any):
    ann, ben = officers
    reset = ask_to_arm(ann)

    def press(user: User) -> Any:
        path = ask(user, reset.pk)
        with SIGNER:
            page, _ = (
                read_page(Client().get(path))
                if "page" in Client().get(path).content.decode()
                else ("", {})
            )
            return Client().post(path, {"page": page, "method": "demo"})

    assert press(ben).status_code == 400
    say_kind(fresh_database, "demo")
    for user in officers:
        assert "on record" in press(user).content.decode()
    approve_reset(reset=reset, actor=Actor.of(ben))
    assert state_of("main") == "ARMED"
    say_kind(fresh_database, "production")
    trip_fuse()
    other = ask_to_arm(ann)
    assert {row.method for row in Signature.objects.all()} == {"demo"}
    with pytest.raises(SignatureMissing):
        approve_reset(reset=other, actor=Actor.of(ben))


def test_a_key_takes_an_invitation_of_the_owner(officers: tuple[User, User]):
    with SIGNER:
        assert Client().get("/enrol/made-up/").status_code == 404
    with pytest.raises(CommandError, match="rejected by the database"):
        call_command("invite", "--email", officers[0].email)
    with pytest.raises(CommandError, match="neither a staff account nor an investor"):
        call_command("invite", "--email", "nobody@example.com")


def test_the_desk_leads_to_the_signer_and_says_who_has_not_signed(
    officers: tuple[User, User], capsys: Any
):
    ann, ben = officers
    reset = ask_to_arm(ann)
    browsers = {user: Client() for user in officers}
    for user, browser in browsers.items():
        browser.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
    path = f"/desk/risk/reset/{reset.pk}/"
    assert "Sign your request" in browsers[ann].get("/desk/risk/").content.decode()
    answer = browsers[ben].post(path, {"decision": "approve"})
    assert answer.url.startswith(f"{ORIGIN}/sign/")
    assert "on record" in sign(path_of(answer.url), enrol(ben, capsys)).content.decode()
    answer = browsers[ben].post(path, {"decision": "approve"}, follow=True)
    assert "has not signed this" in answer.content.decode()
    answer = browsers[ann].post(path, {"decision": "sign"}, headers={"HX-Request": "true"})
    sign(path_of(answer.headers["HX-Redirect"]), enrol(ann, capsys))
    assert "not signed yet" not in browsers[ben].get("/desk/risk/").content.decode()
    browsers[ben].post(path, {"decision": "approve"})
    assert state_of("main") == "ARMED"


def approve_by_hand(table: str, pk: Any, user: User, **values: str) -> None:
    """What a service writes to approve, as the web's role alone could write it."""
    given = {"state": "approved", "approved_by_id": str(user.pk), **values}
    columns = ", ".join(f"{name} = %s" for name in given)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {columns}, approved_at = now() WHERE id = %s",
            [*given.values(), pk],
        )
        if table == "investors_navstrike":
            cursor.execute(f"UPDATE {table} SET state = 'dealt' WHERE id = %s", [pk])


def test_a_nav_and_a_payment_take_the_approvers_signature(fresh_database: Any, capsys: Any):
    ann = make_user("ann", Role.ACCOUNTANT)
    ben = make_user("ben", Role.CONTROLLER)
    say_kind(fresh_database, "production")
    fund = Fund.objects.create(code="F", name="Fund", book="main", inception=NOON)
    strike = NavStrike.objects.create(
        fund=fund, valuation_at=NOON, known_at=NOON, inputs={}, waterfall=[], checklist=[],
        nav=1_000, gross_assets=1_001, result_hash="h" * 64, input_hash="i", prepared_by=ann,
    )  # fmt: skip
    payment = Payment.objects.create(
        fund=fund, number=1, kind="expense", amount="12.50", currency="USD", to_name="Audit\nLtd",
        to_number="X1", text="invoice 7", content_hash="c" * 64, prepared_by=ann,
    )  # fmt: skip
    steps = [
        ("investors_navstrike", strike.pk, NAV, {"approved_hash": strike.result_hash}),
        ("investors_payment", payment.pk, PAYMENT, {}),
    ]
    passkey = enrol(ben, capsys)
    for table, pk, action, values in steps:
        with pytest.raises(DatabaseError, match="has not signed this"):
            approve_by_hand(table, pk, ben, **values)
        with pytest.raises(DatabaseError, match="same person"):
            approve_by_hand(table, pk, ann, **values)
        assert "on record" in sign(ask(ben, pk, action), passkey).content.decode()
        approve_by_hand(table, pk, ben, **values)
    words = Signature.objects.get(action=PAYMENT).content
    assert "Pay 12.5 USD out of the fund F (expense)" in words
    assert "To: Audit Ltd" in words
    with pytest.raises(DatabaseError, match="approved to confirmed"):
        Payment.objects.filter(pk=payment.pk).update(state="confirmed", confirmed_at=NOON)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://localhost:8000", "sign-csrf False"),
        ("https://fund.example.com", "__Host-sign-csrf True"),
    ],
)
def test_a_loopback_production_home_keeps_the_cookie_of_its_forms(url: str, name: str):
    script = (
        "from magnetfund import settings_signer as s;"
        "print(s.CSRF_COOKIE_NAME, s.CSRF_COOKIE_SECURE)"
    )
    environment = {
        **os.environ, "MAGNET_ENV": "production", "SECRET_KEY": "x" * 60, "PUBLIC_URL": url,
        "DATABASE_URL": "postgresql://fa_signer@127.0.0.1:1/x",
    }  # fmt: skip
    environment.pop("ALLOWED_HOSTS", None)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=settings.BASE_DIR, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == name, done.stderr


def test_the_signers_pages_send_their_origin_and_say_in_words_what_failed():
    """A page that hides where it is sends "null", and each of its forms would be refused."""
    middleware = ["django.middleware.csrf.CsrfViewMiddleware"]
    with override_settings(
        ROOT_URLCONF="magnetfund.signer.urls", MIDDLEWARE=middleware,
        CSRF_FAILURE_VIEW="magnetfund.signer.views.refuse_form", DEBUG=False,
    ):  # fmt: skip
        unknown = Client().get("/nothing/")
        refused = Client(enforce_csrf_checks=True).post("/enrol/x/", {})
    assert unknown.status_code == 404
    assert 'name="referrer" content="same-origin"' in unknown.content.decode()
    assert "unknown, used or expired" in unknown.content.decode()
    assert refused.status_code == 403
    assert "Nothing was signed: this form has expired" in refused.content.decode()


def test_a_request_leaves_no_session_behind():
    """The role has few sessions, and a thread of the web server has one request."""
    script = "import magnetfund.settings_signer as s; print(s.DATABASES['default']['CONN_MAX_AGE'])"
    environment = {
        **os.environ, "MAGNET_ENV": "production", "SECRET_KEY": "x" * 60,
        "PUBLIC_URL": "http://localhost:8000", "DATABASE_URL": "postgresql://fa_signer@127.0.0.1/x",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0"
