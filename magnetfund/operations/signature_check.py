"""Check every kept signature again, by its public key and the words that it names."""

from __future__ import annotations

from magnetfund.core.models import Signature
from magnetfund.signer.proofs import verify_stored


def find_bad_signatures() -> list[str]:
    """What is wrong with kept proofs of passkeys, one line each; codes have no proof to check."""
    problems = []
    for row in Signature.objects.filter(method=Signature.Method.PASSKEY).order_by("signed_at"):
        wrong = verify_stored(
            content=row.content,
            nonce=bytes(row.nonce),
            origin=row.origin,
            public_key=bytes(row.public_key),
            client_data=bytes(row.client_data),
            authenticator_data=bytes(row.authenticator_data),
            signature=bytes(row.signature),
        )
        if wrong is not None:
            problems.append(f"signature {row.id} of {row.action}: {wrong}")
    return problems
