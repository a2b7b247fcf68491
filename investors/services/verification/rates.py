"""Stablecoins: rates and terms of par were signed, and each NAV valued what was held by them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from investors.domain.coins import recompute_difference
from investors.models import CoinRate, Fund, NavStrike, ParTerm, RateProposal
from investors.services.coin_rates import describe_rates
from investors.services.coin_recount import recount_coins
from investors.services.coin_values import standing_differences
from investors.services.par_terms import describe_par, is_par_agreed
from investors.services.verification.proofs import proved_since
from magnetfund.core.roles import Capability
from magnetfund.core.services.signatures import SignedAct, SignedRow, find_signature_faults
from magnetfund.core.services.signing import PAR, RATE
from magnetfund.kernel.clock import isoformat_z

ZERO = Decimal(0)


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
    terms = ParTerm.objects.filter(fund=fund, is_approved=True)
    found += find_signature_faults([_signed_par(row, since) for row in terms])
    return found + _find_in_strikes(fund) + _find_values(fund)


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


def _find_values(fund: Fund) -> list[str]:
    """Coins of each dealt NAV counted again by their movements, against its line and account 1040.

    NAVs of before coins were valued named rates and took par; every later one values what it holds.
    """
    found, is_valued = [], False
    for strike in NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT).order_by(
        "valuation_at"
    ):
        taken = {item["coin"] for item in strike.inputs.get("coins", ()) if "applied" in item}
        is_valued = is_valued or bool(taken)
        if not is_valued:
            continue
        at: datetime = strike.valuation_at
        opened: dict[str, Decimal] = {}
        for item in strike.inputs["positions"]:
            symbol = item["instrument"]
            opened[symbol] = opened.get(symbol, ZERO) + Decimal(item["unrealised"])
        # Money of before coins had rates counts as at that NAV, whatever is traded first now.
        own = next(
            (item["coin"] for item in strike.inputs.get("coins", ()) if item.get("is_of_flows")),
            None,
        )
        again = recount_coins(fund, before=at, unrealised=opened, own=own)
        stands = standing_differences(fund, before=at)
        found += [
            f"NAV of {at:%Y-%m-%d}: {coin} is held, and it values none"
            for coin, parts in sorted(again.items())
            if sum(parts, ZERO) and coin not in taken
        ]
        for item in strike.inputs.get("coins", ()):
            if "applied" not in item:
                continue
            coin, parts = item["coin"], again.get(item["coin"], [])
            agreed = is_par_agreed(fund, coin, at=at)
            told = [
                ("amount", Decimal(item["amount"]), sum(parts, ZERO)),
                (
                    "difference", stands.get(coin, ZERO),
                    recompute_difference(parts, Decimal(item["rate"]), is_par_agreed=agreed),
                ),
                ("par", item["is_par_agreed"], agreed),
            ]  # fmt: skip
            found += [
                f"NAV of {at:%Y-%m-%d}: {name} of {coin} {stored}, recomputed {counted}"
                for name, stored, counted in told
                if stored != counted
            ]
    return found


def _signed_par(row: ParTerm, since: datetime | None) -> SignedRow:
    assert row.decided_by_id is not None
    return SignedRow(
        what=f"term of {row}",
        signatures=(
            SignedAct(user=row.proposed_by_id, capability=Capability.TERMS_PROPOSE),
            SignedAct(user=row.decided_by_id, capability=Capability.TERMS_APPROVE, by_line=True),
        ),
        action="par.approved",
        subject=("par_term", str(row.pk)),
        body=tuple(describe_par(row).items()),
        proof=(PAR, row.pk),
        proof_since=since,
    )


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
