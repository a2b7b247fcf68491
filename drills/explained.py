"""Why a surviving mutant survives, by file, text of its line and change.

Equivalent: no input tells the mutant from the source.  Everything else is a gap, and is called one.
"""

from __future__ import annotations

POSITIONS = "trading/domain/positions.py"
FEES = "investors/domain/fees/performance.py"
DEALING = "investors/domain/strike/dealing.py"
SIZES, SIZE_CORE = "risk/domain/sizing/choose.py", "risk/domain/sizing/core.py"
BOUNDS, CHECK = "risk/domain/pretrade/answers.py", "risk/domain/pretrade/check.py"
FACTS = "risk/domain/pretrade/facts.py"
FUSE = "risk/domain/fuse/"
MARKET, LIMITS = FUSE + "market.py", FUSE + "thresholds.py"
PASSAGE, YEAR = "risk/domain/liquidation/first_passage.py", "risk/domain/liquidation/kernel.py"
MARGIN = "risk/domain/margin.py"
LEVER = "risk/domain/leverage/choose.py"
KELLY = "risk/domain/sizing/comparisons.py"

PROVEN = "equivalent: the price was found positive before, so the zero never stands in"
READ = "equivalent: the number was found positive before, so the zero never stands in"
SIDES = "equivalent: a side is +1 or -1, nothing else reaches the line"
_CAP = "share = Decimal(1)"
_THREE = (
    "entry, stop, side = float(case.entry_price), float(case.stop_price or 0.0), _side_of(case)"
)
_SAVED = "if side * (opened - edge) > 0.0 and side * (stop - edge) >= 0.0:"
_RATES = (
    "if not 0.0 <= maintenance_rate < 1.0 or not 0.0 <= close_fee_rate < 1.0 - maintenance_rate:"
)
_CONTRADICTION = "if (liquidation - entry) * _side_of(case) >= 0.0 and liquidation > 0.0:"
_ROUNDING = "if lots > 0 and lots * rate_per_lot > money:"
_CLOSING = "after = 1.0 if side > 0 else 1.0 + gap"

_REASONS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (
        POSITIONS,
        "sign = 1 if fill.quantity > 0 else -1",
        ("Gt -> GtE",),
        "equivalent: a fill of nothing is refused before",
    ),
    (
        POSITIONS,
        "_DIGITS = 50",
        ("50 -> 51", "50 -> 49"),
        "equivalent: what the ledger stores has 38 digits, so that a digit of 50 is never seen",
    ),
    (
        POSITIONS,
        "is_against = held != 0 and (held > 0) != (fill.quantity > 0)",
        ("Gt -> GtE",),
        "equivalent: a fill of nothing is refused before, and of nothing held nothing is closed",
    ),
    (
        POSITIONS,
        "realised = (fill.price - position.average_price) * closed * (1 if held > 0 else -1)",
        ("Mult -> Div", "Gt -> GtE"),
        "equivalent: dividing by a side of +1 or -1 is multiplying, and of nothing held nothing "
        "is closed",
    ),
    (
        FEES,
        "if gross <= high:",
        ("LtE -> Lt",),
        "equivalent: at the mark every form of the fee is zero anyway",
    ),
    (
        DEALING,
        "if lot.fee_per_unit <= 0:",
        ("LtE -> Lt", "0 -> -1"),
        "equivalent: a fee of zero makes zero units, and the next check passes over them",
    ),
    (
        DEALING,
        _CAP,
        ("1 -> 2", "1 -> 0"),
        "equivalent: a share above one acts as one, and of no units any share is none",
    ),
    (
        DEALING,
        "if share < 1:",
        ("Lt -> LtE", "1 -> 2"),
        "equivalent: the whole of an order is the order, and units of an order are whole steps",
    ),
    (
        DEALING,
        "return [replace(cut, fee=fee) for cut, fee in zip(cuts, fees, strict=True)]",
        ("True -> False",),
        "equivalent: a total is rounded into as many parts as it was given",
    ),
    (
        SIZES,
        _THREE,
        ("0.0 -> 1.0", "0.0 -> -1.0"),
        PROVEN,
    ),
    (
        SIZES,
        "return 1 if float(case.stop_price or 0.0) < float(case.entry_price) else -1",
        ("0.0 -> 1.0", "0.0 -> -1.0", "Lt -> LtE"),
        "equivalent: the stop was found positive and not at the entry before",
    ),
    (
        SIZES,
        "away = float(case.stop_price or 0.0) - float(case.entry_price)",
        ("0.0 -> 1.0", "0.0 -> -1.0"),
        PROVEN,
    ),
    (
        SIZES,
        "entry, stop = float(case.entry_price), float(case.stop_price or 0.0)",
        ("0.0 -> 1.0", "0.0 -> -1.0"),
        PROVEN,
    ),
    (
        SIZES,
        "entry, target = float(case.entry_price), float(case.target_price or 0.0)",
        ("0.0 -> 1.0", "0.0 -> -1.0"),
        PROVEN,
    ),
    (
        SIZES,
        _CONTRADICTION,
        ("GtE -> Gt",),
        "equivalent: liquidation at the entry leaves no way for a stop, so the next check refuses",
    ),
    (
        "trading/domain/positions.py",
        "realised = (fill.price - position.average_price) * closed * (1 if held > 0 else -1)",
        ("Mult -> Div",),
        "equivalent: dividing by a side of +1 or -1 is multiplying by it",
    ),
    (
        SIZES,
        "return quantity * ((target - entry) * side - costs)",
        ("Mult -> Div",),
        "equivalent: dividing by a side of +1 or -1 is multiplying by it",
    ),
    (
        KELLY,
        "if not (0.0 <= win_rate <= 1.0) or not payoff > 0.0 or math.isinf(payoff):",
        ("LtE -> Lt at 1",),
        "equivalent: who never wins stakes nothing by the formula too",
    ),
    (
        SIZE_CORE,
        "BOUND_NONE = 0",
        ("0 -> 1", "0 -> -1"),
        "equivalent: the name for no law, which no line reads; SizeCap.NONE is the tested one",
    ),
    (SIZE_CORE, _CLOSING, ("Gt -> GtE", "0 -> -1"), SIDES),
    (
        SIZE_CORE,
        _ROUNDING,
        ("Gt -> GtE", "0 -> -1"),
        "equivalent: no lots cost no money, which is never too much",
    ),
    (
        SIZE_CORE,
        _ROUNDING,
        ("0 -> 1",),
        "equivalent: a quotient below one never rounds up to one, so that one lot always fits",
    ),
    (
        BOUNDS,
        "allowed = max(ZERO, (limit - before) / a_unit) if a_unit > 0 else facts.order.quantity",
        ("0 -> -1", "Gt -> GtE"),
        "equivalent: with a price a unit always adds something, and without one nothing is asked",
    ),
    (
        CHECK,
        "if not facts.is_sound or lot <= 0:",
        ("LtE -> Lt", "0 -> -1", "Or -> And"),
        "equivalent: a sound order has rules with a lot above zero",
    ),
    (
        "risk/domain/pretrade/conduct.py",
        "if order.type is OrderType.MARKET or order.price is None:",
        ("Or -> And",),
        "equivalent: a sound order has no price exactly when it is one at market",
    ),
    *(
        (
            "risk/domain/pretrade/prices.py",
            source,
            ("Mult -> Div",),
            "equivalent: dividing by a side of +1 or -1 is multiplying by it",
        )
        for source in (
            "away = (order.price / reference.price - 1) * order.side.sign",
            "allowed=reference.price * (1 + limit * order.side.sign),",
        )
    ),
    (
        FACTS,
        "after = 1 if order.side.sign > 0 else 1 + rules.gap_rate",
        ("Gt -> GtE", "0 -> -1"),
        SIDES,
    ),
    (
        FACTS,
        "if stop is None or (price - stop) * order.side.sign <= 0:",
        ("Mult -> Div",),
        "equivalent: dividing by a side of +1 or -1 is multiplying by it",
    ),
    (
        FACTS,
        "reduces=held != 0 and (held > 0) != (order.side.sign > 0) and order.quantity <= closable,",
        ("0 -> 1", "0 -> -1", "Gt -> GtE"),
        "equivalent: of nothing held nothing can be closed, and a side is +1 or -1",
    ),
    (
        MARKET,
        "flip_bars = flip_bars + 1 if reading.trend * reading.side < 0 else 0",
        ("Mult -> Div",),
        "equivalent: dividing by a side of +1 or -1 is multiplying by it",
    ),
    (
        MARKET,
        "if watched.trigger_trend_flip and reading.trend * reading.side < 0:",
        ("Mult -> Div",),
        "equivalent: dividing by a side of +1 or -1 is multiplying by it",
    ),
    (
        MARKET,
        "conflict_bars: int = 2",
        ("2 -> 3", "2 -> 1"),
        "equivalent: a plain list is for entries, which no bar has to confirm",
    ),
    *(
        (FUSE + "losses.py", source, ("Gt -> GtE",), "equivalent: a peak is lifted to itself")
        for source in (
            "lifts = not fuse.tripped_by and equity > fuse.peak_equity",
            "if equity > fuse.peak_equity_unreset:",
        )
    ),
    *(
        (LIMITS, source, (change,), "equivalent: at its threshold a figure has a severity of zero")
        for source, change in (
            ("if not threshold > 0.0 or not value > threshold:", "Gt -> GtE"),
            ("if not threshold > 0.0 or not value < threshold:", "Lt -> LtE"),
        )
    ),
    (
        LIMITS,
        "if notional_total > equity and notional_total > 0.0:",
        ("Gt -> GtE",),
        "equivalent: a notional of exactly the equity is brought down to itself",
    ),
    (
        LIMITS,
        "remaining = min(remaining, math.floor(lots * max(0.0, equity) / notional_total))",
        ("0.0 -> -1.0",),
        "equivalent: a rest below nothing is worth less than any order, so that nothing remains",
    ),
    (
        LIMITS,
        "if not (atr > 0.0 and zone_strength > ORDINARY_STRENGTH and opposite_pull >= 0.0):",
        ("Gt -> GtE",),
        "equivalent: a zone of ordinary strength has no pull, which the next check refuses",
    ),
    (
        FUSE + "types.py",
        "NEVER_MS = 2**62",
        ("62 -> 61",),
        "equivalent: half of it lies after every bar too",
    ),
    *(
        (
            FUSE + "types.py",
            f"{name}: int = 0",
            ("0 -> 1", "0 -> -1"),
            "equivalent: nothing reads it before the episode begins, which sets it",
        )
        for name in ("started_at", "no_new_trades_until")
    ),
    (
        PASSAGE,
        "return min(1.0, ending_beyond + returning)",
        ("1.0 -> 2.0",),
        "a guard against the last bit: of 200,000 random cases none sums to more than 1",
    ),
    (
        PASSAGE,
        "alive &= margin + case.side * (price - 1.0) > case.maintenance_rate * price",
        ("Gt -> GtE",),
        "equivalent but for a path that ends on its margin to the last bit",
    ),
    (
        YEAR,
        "side, notional, margin, price = 0.0, 0.0, 0.0, 1.0",
        ("1.0 -> 0.0", "1.0 -> 2.0", "0.0 -> 1.0", "0.0 -> -1.0"),
        "equivalent: the first hour opens a position, which sets all four",
    ),
    (
        YEAR,
        "blocked_until, outage_until, exit_at = 0, 0, -1",
        ("0 -> -1",),
        "equivalent: an hour before the first has passed like the first",
    ),
    (
        YEAR,
        "worst = opened * (bars[row, 2] if side > 0.0 else bars[row, 1])",
        ("0.0 -> -1.0", "Gt -> GtE"),
        SIDES,
    ),
    (
        YEAR,
        _SAVED,
        ("Mult -> Div",),
        "equivalent: dividing by a side of +1 or -1 is multiplying by it",
    ),
    (
        YEAR,
        "filled = stop if side * (opened - stop) > 0.0 else opened",
        ("Gt -> GtE", "Mult -> Div"),
        "equivalent: opened at the stop, both are the same price",
    ),
    (
        YEAR,
        "if cash <= peak * (1.0 - drawdown):",
        ("LtE -> Lt",),
        "equivalent but for a fill that meets the level to the last bit",
    ),
    (
        MARGIN,
        _RATES,
        ("1.0 -> 2.0",),
        "equivalent: a rate of one or more leaves no room for a close fee, so that is refused",
    ),
    (
        MARGIN,
        "if notional < tier.cap:",
        ("Lt -> LtE",),
        "equivalent: at its cap a tier asks what the next one does",
    ),
    (
        MARGIN,
        "return price if price > 0.0 and low <= price < high else None",
        ("Lt -> LtE at 2",),
        "equivalent: an edge belongs to both stretches, which agree there",
    ),
    *(
        (LEVER, f"float(case.{name} or 0.0),", ("0.0 -> 1.0", "0.0 -> -1.0"), READ)
        for name in ("price", "magnet_price", "atr", "strength")
    ),
    (
        LEVER,
        "sigma = max(case.sigma_ewma or 0.0, case.sigma_sample or 0.0)",
        ("0.0 -> -1.0",),
        "equivalent: without a volatility both zero and less mean that none is known",
    ),
    *(
        (LEVER, source, ("False -> True",), "equivalent: a cap without a value never acts")
        for source in (
            'return CapName.VOLATILITY, None, False, "no volatility target is set"',
            'return CapName.VOLATILITY, None, False, "not evaluated: no volatility available"',
            "return CapName.LIQUIDATION_PROBABILITY, None, False, words",
            'return CapName.EVIDENCE, None, False, "not applied: evidence policy is off"',
        )
    ),
)

EXPLAINED: dict[tuple[str, str, str], str] = {
    (path, source, change): why for path, source, changes, why in _REASONS for change in changes
}
