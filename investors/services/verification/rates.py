"""Rates of stablecoins: entered ones were signed, and each NAV took rates that are stored."""

from __future__ import annotations

from datetime import datetime

from investors.models import CoinRate, Fund, NavStrike, RateProposal
from investors.services.coin_rates import describe_rates
from investors.services.verification.proofs import proved_since
from magnetfund.core.roles import Capability
from magnetfund.core.services.signatures import SignedAct, SignedRow, find_signature_faults
from magnetfund.core.services.signing import RATE
from magnetfund.kernel.clock import isoformat_z


def find_rate_differences(fund: Fund) -> list[str]:
    """Entered rates were decided by two people and are what they signed, and NAVs took rates that
    counted."""
    rows = list(RateProposal.objects.filter(fund=fund).prefetch_related("rates"))
    since = proved_since(fund)
    found = find_signature_faults([_signed(row, since) for row in rows if row.is_approved])
    for row in rows:
        taken = sorted(
            [isoformat_z(rate.observed_at), f"{rate.rate.normalize():f}"]
            for rate in row.rates.all()
        )
        if taken != (sorted(row.lines) if row.is_approved else []):
            found.append(f"rates {row}: what counts is not what was signed")
    return found + _find_in_strikes(fund)


def _find_in_strikes(fund: Fund) -> list[str]:
    """Rates that a NAV names and nobody stored so."""
    taken = [
        (strike, item)
        for strike in NavStrike.objects.filter(fund=fund, inputs__has_key="coins")
        for item in strike.inputs["coins"]
    ]
    known = CoinRate.objects.in_bulk({item["rate_id"] for _, item in taken})
    found = []
    for strike, item in taken:
        row = known.get(item["rate_id"])
        said = None if row is None or row.held else (
            row.coin, row.currency, f"{row.rate.normalize():f}", isoformat_z(row.observed_at)
        )  # fmt: skip
        if said != (item["coin"], fund.currency, item["rate"], item["observed_at"]):
            found.append(
                f"NAV of {strike.valuation_at:%Y-%m-%d}: no rate of {item['coin']} at "
                f"{item['rate']} counted then"
            )
    return found


def _signed(row: RateProposal, since: datetime | None) -> SignedRow:
    assert row.decided_by_id is not None
    return SignedRow(
        what=f"rates {row}",
        signatures=(
            SignedAct(user=row.proposed_by_id, capability=Capability.NAV_PREPARE),
            SignedAct(user=row.decided_by_id, capability=Capability.NAV_APPROVE, by_line=True),
        ),
        action="rate.approved",
        subject=("rate_proposal", str(row.pk)),
        body=tuple(describe_rates(row).items()),
        proof=(RATE, row.pk),
        proof_since=since,
    )
