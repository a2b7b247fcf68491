"""The signer's two pages: sign what is shown, and enrol a key by invitation.

They are served by a process of its own, at an origin of its own, from the rows, so that a stolen
web process can neither show other words nor ask a passkey for an answer that is accepted here.
"""

from __future__ import annotations

import base64
import json
import logging
import secrets
import time
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from magnetfund.signer import proofs, store
from magnetfund.signer.proofs import BadProof
from magnetfund.signer.store import Invite, Key, SigningRequest

_log = logging.getLogger("magnetfund.signer")
#: How long a shown page may be signed, in seconds.
PAGE_SECONDS = 300
SALT_SIGN, SALT_ENROL = "sign", "enrol"
GONE = "This link is unknown, used or expired. Go back to the desk and ask again."


@never_cache
@require_http_methods(["GET", "POST"])
def sign(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the words of a request and take the signature of the person who was asked."""
    wish = store.find_wish(pk)
    if wish is None:
        return render(request, "signer/gone.html", {"words": GONE}, status=404)
    if request.method != "POST":
        return _show(request, wish)
    try:
        _take(request, wish)
    except BadProof as error:
        _log.warning("signature of %s refused: %s", wish.action, error)
        return _show(request, wish, problem=str(error), status=400)
    except DatabaseError as error:
        said = str(error).splitlines()[0]
        if not said.startswith("signature: "):
            raise
        return _show(request, wish, problem=said.removeprefix("signature: "), status=409)
    return render(request, "signer/signed.html", {"wish": wish, "back": _back(wish)})


def _show(
    request: HttpRequest, wish: SigningRequest, *, problem: str = "", status: int = 200
) -> HttpResponse:
    keys = store.find_keys(wish.account)
    nonce = secrets.token_bytes(proofs.NONCE_BYTES)
    page = signing.dumps(
        {"request": str(wish.id), "nonce": nonce.hex(), "content": wish.content}, salt=SALT_SIGN
    )
    passkeys = [key.credential for key in keys if key.kind == "passkey"]
    options = proofs.assertion_options(
        origin=settings.SIGN_URL,
        challenge=proofs.challenge_of(wish.content, nonce),
        keys=passkeys,
    )
    context = {
        "wish": wish,
        "lines": wish.content.splitlines(),
        "page": page,
        "problem": problem,
        "back": _back(wish),
        "options": json.dumps(options) if passkeys else "",
        "has_code": any(key.kind == "code" for key in keys),
        "is_demo": store.is_demo(),
    }
    return render(request, "signer/sign.html", context, status=status)


def _take(request: HttpRequest, wish: SigningRequest) -> UUID:
    """Check the proof that was sent and keep the signature."""
    shown = _read_page(request, SALT_SIGN)
    if shown["request"] != str(wish.id):
        raise BadProof("this page was made for another request")
    content, nonce = str(shown["content"]), bytes.fromhex(shown["nonce"])
    kept: dict[str, Any] = {"content": content, "nonce": nonce, "origin": settings.SIGN_URL}
    method = request.POST.get("method", "")
    keys = store.find_keys(wish.account)
    if method == "passkey":
        return store.keep_signature(
            wish, method=method, **kept, **_take_passkey(request, kept, keys)
        )
    if method == "code":
        key = _take_code(request.POST.get("code", ""), wish, keys)
        return store.keep_signature(wish, method=method, key=key, **kept)
    if method == "demo" and store.is_demo():
        return store.keep_signature(wish, method=method, **kept)
    raise BadProof("choose how to sign")


def _take_passkey(request: HttpRequest, kept: dict[str, Any], keys: list[Key]) -> dict[str, Any]:
    passkeys = {
        proofs.credential_id_of(key.credential): key for key in keys if key.kind == "passkey"
    }
    found = proofs.check_assertion(
        _read_answer(request),
        origin=settings.SIGN_URL,
        challenge=proofs.challenge_of(kept["content"], kept["nonce"]),
        keys=[key.credential for key in passkeys.values()],
    )
    return {
        "key": passkeys[found.credential_id].id,
        "public_key": found.public_key,
        "client_data": found.client_data,
        "authenticator_data": found.authenticator_data,
        "signature": found.signature,
    }


def _take_code(code: str, wish: SigningRequest, keys: list[Key]) -> UUID:
    codes = [key for key in keys if key.kind == "code"]
    if any(key.is_resting for key in codes):
        raise BadProof("too many wrong codes; wait a quarter of an hour or use a passkey")
    for key in codes:
        secret = proofs.unseal(key.credential, key=settings.SECRET_KEY, account=wish.account.bytes)
        try:
            step = proofs.find_code_step(secret, code, at=time.time(), after=key.last_step)
        except BadProof:
            continue
        if store.use_step(key.id, step):
            return key.id
    store.count_failure(wish.account)
    raise BadProof("the code is wrong, or it was used before")


@never_cache
@require_http_methods(["GET", "POST"])
def enrol(request: HttpRequest, token: str) -> HttpResponse:
    """Enrol one signing key of the invited person, once."""
    invite = store.find_invite(token)
    if invite is None:
        return render(request, "signer/gone.html", {"words": GONE}, status=404)
    if request.method != "POST":
        return _show_enrolment(request, invite)
    try:
        kind, credential = _take_key(request, invite)
        store.enrol(token, kind=kind, credential=credential)
    except BadProof as error:
        return _show_enrolment(request, invite, problem=str(error), status=400)
    _log.info("a %s for signing was enrolled", kind)
    return render(request, "signer/enrolled.html", {"invite": invite, "back": settings.PUBLIC_URL})


def _show_enrolment(
    request: HttpRequest, invite: Invite, *, problem: str = "", status: int = 200
) -> HttpResponse:
    secret = secrets.token_bytes(proofs.SECRET_BYTES)
    challenge = secrets.token_bytes(proofs.NONCE_BYTES)
    sealed = proofs.seal(
        secret,
        key=settings.SECRET_KEY,
        account=invite.account.bytes,
        nonce=secrets.token_bytes(12),
    )
    page = signing.dumps(
        {"account": str(invite.account), "challenge": challenge.hex(), "sealed": sealed.hex()},
        salt=SALT_ENROL,
    )
    options = proofs.enrolment_options(
        origin=settings.SIGN_URL,
        account=invite.account.bytes,
        email=invite.email,
        name=invite.name or invite.email,
        challenge=challenge,
    )
    context = {
        "invite": invite,
        "page": page,
        "problem": problem,
        "options": json.dumps(options),
        "secret": base64.b32encode(secret).decode(),
    }
    return render(request, "signer/enrol.html", context, status=status)


def _take_key(request: HttpRequest, invite: Invite) -> tuple[str, bytes]:
    """Kind and credential of the key that was made on the page."""
    shown = _read_page(request, SALT_ENROL)
    if shown["account"] != str(invite.account):
        raise BadProof("this page was made for somebody else")
    if request.POST.get("method") == "passkey":
        answer = _read_answer(request)
        challenge = bytes.fromhex(shown["challenge"])
        return "passkey", proofs.check_enrolment(
            answer, origin=settings.SIGN_URL, challenge=challenge
        )
    sealed = bytes.fromhex(shown["sealed"])
    secret = proofs.unseal(sealed, key=settings.SECRET_KEY, account=invite.account.bytes)
    proofs.find_code_step(secret, request.POST.get("code", ""), at=time.time(), after=0)
    return "code", sealed


def _read_page(request: HttpRequest, salt: str) -> dict[str, str]:
    """What this process put on the page that is sent back."""
    try:
        found: dict[str, str] = signing.loads(
            request.POST.get("page", ""), salt=salt, max_age=PAGE_SECONDS
        )
    except signing.BadSignature:
        raise BadProof("this page is too old; read it again and sign") from None
    return found


def _read_answer(request: HttpRequest) -> dict[str, Any]:
    try:
        answer = json.loads(request.POST.get("answer", ""))
    except ValueError:
        raise BadProof("the browser sent no passkey") from None
    if not isinstance(answer, dict):
        raise BadProof("the browser sent no passkey")
    return answer


def refuse_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The answer to a form without its token; ``reason`` is Django's."""
    _log.warning("a form was refused: %s", reason)
    words = "Nothing was signed: this form has expired, or the browser sent no cookie."
    return render(request, "signer/gone.html", {"words": words}, status=403)


def refuse_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The answer to a request that cannot be read."""
    words = "This request cannot be read. Nothing was signed."
    return render(request, "signer/gone.html", {"words": words}, status=400)


def show_nothing(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The answer to an address that is not there."""
    return render(request, "signer/gone.html", {"words": GONE}, status=404)


def show_failure(request: HttpRequest) -> HttpResponse:
    """The answer where this process failed."""
    words = "Something went wrong on our side. Look at the desk: what is signed is shown there."
    return render(request, "signer/gone.html", {"words": words}, status=500)


def _back(wish: SigningRequest) -> str:
    """The page that asked; a path of the platform and nothing else."""
    path = wish.back if wish.back.startswith("/") and not wish.back.startswith("//") else "/"
    return f"{settings.PUBLIC_URL}{path}"
