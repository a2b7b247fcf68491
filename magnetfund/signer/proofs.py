"""Proofs that a person signed: WebAuthn assertions and codes of an authenticator app.  Pure.

What is signed is ``sha256(content || nonce)``, as the challenge of an assertion with user
verification (https://www.w3.org/TR/webauthn-3/#sctn-verifying-assertion).  A passkey's proof can be
checked again by anybody who has its public key; a code's proof is the signer's word (RFC 6238).
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1, sha256
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    UserVerificationRequirement,
)

NONCE_BYTES = 32
CODE_SECONDS = 30
CODE_DIGITS = 6
#: Steps around the present one whose code is taken: one each way, as RFC 6238 advises.
CODE_DRIFT = 1
SECRET_BYTES = 20
_GCM_NONCE = 12


class BadProof(ValueError):
    """What was handed in proves nothing; the message is one sentence for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """A passkey's answer, whole."""

    credential_id: bytes
    public_key: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes


def challenge_of(content: str, nonce: bytes) -> bytes:
    """What the key signs: the hash of the words shown and a nonce that is used once."""
    return sha256(content.encode() + nonce).digest()


def relying_party(origin: str) -> Fido2Server:
    """The signer as WebAuthn knows it; answers from any other origin are refused."""
    party = PublicKeyCredentialRpEntity(
        name="Magnet Fund: signatures", id=str(urlsplit(origin).hostname)
    )
    return Fido2Server(party, verify_origin=lambda found: found == origin)


def assertion_options(*, origin: str, challenge: bytes, keys: list[bytes]) -> dict[str, Any]:
    """What the browser is asked, as JSON; ``keys`` are attested credential data."""
    options, _ = relying_party(origin).authenticate_begin(
        [AttestedCredentialData(key) for key in keys],
        user_verification=UserVerificationRequirement.REQUIRED,
        challenge=challenge,
    )
    return dict(options.public_key)


def check_assertion(
    answer: Mapping[str, Any], *, origin: str, challenge: bytes, keys: list[bytes]
) -> Assertion:
    """The proof in a browser's answer; raises :class:`BadProof` for any flaw of it."""
    server = relying_party(origin)
    known = [AttestedCredentialData(key) for key in keys]
    _, state = server.authenticate_begin(
        known, user_verification=UserVerificationRequirement.REQUIRED, challenge=challenge
    )
    try:
        used = server.authenticate_complete(state, known, answer)
        response = AuthenticationResponse.from_dict(answer).response
    except (ValueError, KeyError, TypeError) as error:
        raise BadProof(f"the passkey's answer was refused: {error}") from None
    return Assertion(
        credential_id=used.credential_id,
        public_key=cbor.encode(used.public_key),
        client_data=bytes(response.client_data),
        authenticator_data=bytes(response.authenticator_data),
        signature=response.signature,
    )


def verify_stored(
    *,
    content: str,
    nonce: bytes,
    origin: str,
    public_key: bytes,
    client_data: bytes,
    authenticator_data: bytes,
    signature: bytes,
) -> str | None:
    """Check a kept proof again; what is wrong with it, or None."""
    try:
        client = CollectedClientData(client_data)
        data = AuthenticatorData(authenticator_data)
        if client.type != CollectedClientData.TYPE.GET:
            return "it is no assertion"
        if client.challenge != challenge_of(content, nonce):
            return "other words were signed"
        if client.origin != origin:
            return f"it was made at {client.origin}"
        if data.rp_id_hash != sha256(str(urlsplit(origin).hostname).encode()).digest():
            return "it was made for another site"
        if not data.is_user_verified():
            return "the person was not verified"
        CoseKey.parse(_mapping(cbor.decode(public_key))).verify(data + client.hash, signature)
    except InvalidSignature:
        return "the signature is not of this key"
    except (ValueError, KeyError, TypeError) as error:
        return f"it cannot be read: {error}"
    return None


def _mapping(value: object) -> Mapping[int, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("the public key is no COSE key")
    return value


def credential_id_of(credential: bytes) -> bytes:
    """By which name a passkey answers."""
    return bytes(AttestedCredentialData(credential).credential_id)


def enrolment_options(
    *, origin: str, account: bytes, email: str, name: str, challenge: bytes
) -> dict[str, Any]:
    """What the browser is asked to make a passkey, as JSON."""
    options, _ = relying_party(origin).register_begin(
        PublicKeyCredentialUserEntity(id=account, name=email, display_name=name),
        user_verification=UserVerificationRequirement.REQUIRED,
        challenge=challenge,
    )
    return dict(options.public_key)


def check_enrolment(answer: Mapping[str, Any], *, origin: str, challenge: bytes) -> bytes:
    """Attested credential data of a new passkey; raises :class:`BadProof`."""
    server = relying_party(origin)
    _, state = server.register_begin(
        PublicKeyCredentialUserEntity(id=b"-", name="-", display_name="-"),
        user_verification=UserVerificationRequirement.REQUIRED,
        challenge=challenge,
    )
    try:
        data = server.register_complete(state, answer)
    except (ValueError, KeyError, TypeError) as error:
        raise BadProof(f"the passkey was refused: {error}") from None
    if data.credential_data is None:
        raise BadProof("the passkey was refused: it says no key")
    return bytes(data.credential_data)


def code_at(secret: bytes, step: int) -> str:
    """The code of a time step (RFC 4226 and 6238, SHA-1, six digits)."""
    digest = hmac.new(secret, struct.pack(">Q", step), sha1).digest()
    offset = digest[-1] & 0xF
    (number,) = struct.unpack(">I", digest[offset : offset + 4])
    return f"{(number & 0x7FFFFFFF) % 10**CODE_DIGITS:0{CODE_DIGITS}d}"


def find_code_step(secret: bytes, code: str, *, at: float, after: int) -> int:
    """The step whose code this is, later than ``after``; raises :class:`BadProof`."""
    now = int(at // CODE_SECONDS)
    for step in range(now - CODE_DRIFT, now + CODE_DRIFT + 1):
        if step > after and hmac.compare_digest(code_at(secret, step), code.strip()):
            return step
    raise BadProof("the code is wrong, or it was used before")


def seal(secret: bytes, *, key: str, account: bytes, nonce: bytes) -> bytes:
    """An app's secret under the signer's key, bound to its account (AES-256-GCM)."""
    return nonce + AESGCM(_sealing_key(key)).encrypt(nonce, secret, account)


def unseal(sealed: bytes, *, key: str, account: bytes) -> bytes:
    """The secret; raises :class:`cryptography.exceptions.InvalidTag` under another key."""
    return AESGCM(_sealing_key(key)).decrypt(sealed[:_GCM_NONCE], sealed[_GCM_NONCE:], account)


def _sealing_key(key: str) -> bytes:
    return sha256(b"magnetfund codes\0" + key.encode()).digest()
