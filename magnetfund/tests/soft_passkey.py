"""A passkey in software: what an authenticator answers, for tests of the signer."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestedCredentialData, AuthenticatorData

VERIFIED = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV


class SoftPasskey:
    """An ES256 key for one site."""

    def __init__(self, rp_id: str = "localhost") -> None:
        self.rp_id = rp_id
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = os.urandom(16)

    def make(self, options: dict[str, Any], *, origin: str) -> dict[str, Any]:
        """The answer to an enrolment."""
        public = ES256.from_cryptography_key(self.key.public_key())
        data = AuthenticatorData.create(
            sha256(self.rp_id.encode()).digest(),
            VERIFIED | AuthenticatorData.FLAG.AT,
            0,
            AttestedCredentialData.create(b"\0" * 16, self.credential_id, public),
        )
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": bytes(data)})
        client = self._client("webauthn.create", options, origin)
        return self._answer({"clientDataJSON": client, "attestationObject": attestation})

    def sign(
        self, options: dict[str, Any], *, origin: str, flags: int = VERIFIED
    ) -> dict[str, Any]:
        """The answer to a challenge."""
        client = self._client("webauthn.get", options, origin)
        data = AuthenticatorData.create(sha256(self.rp_id.encode()).digest(), flags, 1)
        signed = self.key.sign(bytes(data) + sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {"clientDataJSON": client, "authenticatorData": bytes(data), "signature": signed}
        )

    def _client(self, kind: str, options: dict[str, Any], origin: str) -> bytes:
        challenge = websafe_encode(websafe_decode(options["challenge"]))
        return json.dumps({"type": kind, "challenge": challenge, "origin": origin}).encode()

    def _answer(self, response: dict[str, bytes]) -> dict[str, Any]:
        name = websafe_encode(self.credential_id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {key: websafe_encode(value) for key, value in response.items()},
        }
