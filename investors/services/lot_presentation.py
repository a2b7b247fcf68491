"""The classes of a strike that show their holders the fee by series or by equalisation."""

from __future__ import annotations

from investors.domain.fee_presentation import PresentedClass, present_class
from investors.domain.fees import FeePresentation
from investors.models import ClassNav, ClassPolicyVersion, NavStrike
from investors.selectors import build_points, read_class_rows, since_first_unit

OTHERS = [item.value for item in FeePresentation if item is not FeePresentation.LOTS]


def read_presentations(strike: NavStrike, *, is_dealt: bool) -> dict[str, PresentedClass]:
    """By class code, at a dealt strike before its dealing or (``is_dealt``) after it; nothing of a
    class that presents lots."""
    asked = ClassPolicyVersion.objects.filter(
        share_class__fund=strike.fund_id,
        effective_from__lte=strike.valuation_at,
        terms__fee_presentation__in=OTHERS,
    )
    codes = set(asked.values_list("share_class__code", flat=True))
    if not codes:
        return {}
    found = {}
    for code, rows in read_class_rows(strike.fund).items():
        past = [row for row in rows if row.strike.valuation_at <= strike.valuation_at]
        if code in codes and past:
            shown = _present(past, is_dealt=is_dealt)
            if shown.method is not FeePresentation.LOTS:
                found[code] = shown
    return found


def _present(rows: list[ClassNav], *, is_dealt: bool) -> PresentedClass:
    return present_class(build_points(since_first_unit(rows)), is_dealt=is_dealt)
