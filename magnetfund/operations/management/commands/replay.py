"""Trade a fund through imported history in virtual time and print what it measured."""

from __future__ import annotations

from argparse import SUPPRESS
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand, Progress
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.replay import run_replay
from magnetfund.operations.replay_limits import (
    IN_FORCE,
    SHIPPED,
    SHIPPED_LIMITS,
    ReplayLimits,
    choose_limits,
    follow_limits,
    read_limits,
    write_limits,
)
from magnetfund.operations.replay_plan import ReplayPlan
from magnetfund.operations.scratch import copy_market, run_apart, scratch_url
from risk.domain.fuse import ResetPolicy
from trading.domain.research.request import RULES
from trading.services.instruments import get_instrument

#: Timeframes on which a replay can execute.
RESOLUTIONS = ("1m", "5m", "15m", "1h")


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--instrument",
            action="append",
            required=True,
            help="instrument symbol; repeat for several",
        )
        parser.add_argument("--venue", help="where several venues have the instrument")
        parser.add_argument("--from", dest="start", required=True, help="YYYY-MM-DD")
        parser.add_argument("--to", dest="end", required=True, help="YYYY-MM-DD, exclusive")
        parser.add_argument("--sleeves", default="trend,magnet")
        parser.add_argument(
            "--risk", default="0.0035", help="share of equity risked per trade, up to 0.01"
        )
        parser.add_argument(
            "--reset-policy",
            default=ResetPolicy.COOLDOWN_7D.code,
            help="none, next-day or cooldown:7d",
        )
        parser.add_argument(
            "--resolution",
            default="1h",
            choices=RESOLUTIONS,
            help="candles on which orders execute; decisions fall on closed hours (default 1h)",
        )
        parser.add_argument(
            "--rules",
            default="fund",
            choices=RULES,
            help="fund: the whole fund under limits and fuse; bare: trading alone, without fuse "
            "and market triggers, compared with the backtest of the same rules",
        )
        parser.add_argument(
            "--limits",
            help="in-force (unless told): each version of the fund's limits from its effective "
            "time, those of now for a span before all of them; YYYY-MM-DD: as they stood at the "
            "start of that day; shipped: those of the code, as also where none were in force; "
            "under bare rules none act",
        )
        parser.add_argument("--limit-set", help=SUPPRESS)  # what a run apart is told
        parser.add_argument("--book", help="name of a separate book for this run")

    def work(self, **options: Any) -> dict[str, Any]:
        plan = ReplayPlan(
            book=options["book"] or f"r{datetime.now(UTC):%y%m%d%H%M%S}",
            instruments=tuple(
                get_instrument(name, venue=options["venue"]) for name in options["instrument"]
            ),
            start=_day(options["start"]),
            end=_day(options["end"]),
            sleeves=tuple(options["sleeves"].split(",")),
            risk=_share(options["risk"]),
            reset_policy=ResetPolicy.parse(options["reset_policy"]),
            resolution=options["resolution"],
            rules=options["rules"],
            limits=_limits(options),
        )
        if settings.IS_PRODUCTION:
            result = self._run_apart(plan, options)
            self._tell(result)
            return result
        bar: list[Progress] = []

        def start(bars: int) -> None:
            bar.append(Progress(label="replay", total=bars))

        result = run_replay(plan, on_start=start, on_bar=lambda: bar[0].advance())
        self._tell(result)
        return result

    def _run_apart(self, plan: ReplayPlan, options: dict[str, Any]) -> dict[str, Any]:
        """Run the plan in a scratch database; invented people never enter this installation."""
        url = scratch_url()
        copy_market(
            url,
            instruments=[item.pk for item in plan.instruments],
            timeframes=sorted({"1h", options["resolution"]}),
            end=plan.end,
        )
        words = ["--book", plan.book, "--from", options["start"], "--to", options["end"]]
        for item in plan.instruments:
            words += ["--instrument", item.symbol]
        if options["venue"]:
            words += ["--venue", options["venue"]]
        for name in ("sleeves", "risk", "reset_policy", "resolution", "rules"):
            words.append(f"--{name.replace('_', '-')}={options[name]}")
        words.append(f"--limit-set={write_limits(plan.limits)}")
        return run_apart(url, words, book=plan.book)

    def _tell(self, result: dict[str, Any]) -> None:
        limits = result["limits"]
        self.say(f"Under the {limits['name']}." if limits else "Under bare rules, without limits.")
        self.say(
            f"{result['bars']:,} bars, {result['trades']:,} trades, {result['orders']:,} orders "
            f"({result['denied']} denied), {result['navs_struck']} NAVs for "
            f"{result['investors']} investors."
            + (
                f" {result['dated_events']} dated events barred entries."
                if result["dated_events"]
                else ""
            )
        )
        for code, sleeve in result["sleeves_measured"].items():
            self.say(
                f"  {code}: {sleeve['trades']} trades, {sleeve['won']} won, net {sleeve['net']} "
                f"(fees {sleeve['fees']}, funding {sleeve['funding']})"
            )
        self.say(
            f"Final equity {result['final_equity']}, return {result['return']:+.2%}, maximum "
            f"daily drawdown {result['drawdown_max_daily']:.2%}."
        )
        bridge = result["bridge"]
        self.say(
            f"  capital {bridge['capital']}, closed trades {bridge['closed_trades']}, open "
            f"positions {bridge['open_positions']}, difference {bridge['difference']}"
        )
        events = ", ".join(f"{n} {k}" for k, n in sorted(result["fuse_events"].items()))
        self.say(f"Fuse: {events or 'no event'}; {result['resets']} resets.")
        for loss in result["losing_days"]:
            self.say(
                f"  {loss['day']} closed {loss['change']:+.2%} (limit {loss['limit']:.2%}; stated "
                f"slippage {loss['slippage']:.2%}): {', '.join(loss['causes'])}"
            )
        if "backtest" in result:
            same = result["backtest"]
            self.say(
                f"Backtest under bare rules: {same['trades']:,} trades, "
                f"{same['difference'] or 'equal to the lot'}."
            )
        self.say(f"Books: {result['ledger']}.")
        for line in result["differences"]:
            self.say(f"  {line}")
        self.say(f"State hash {result['state_hash']}, {result['wall_seconds']} s.")


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput(f"{text} is not a date; use YYYY-MM-DD", code="bad_date") from None


def _limits(options: dict[str, Any]) -> ReplayLimits:
    if options["limit_set"]:
        return read_limits(options["limit_set"])
    asked = options["limits"] or (SHIPPED if options["rules"] == "bare" else IN_FORCE)
    if asked == SHIPPED:
        return SHIPPED_LIMITS
    if asked == IN_FORCE:
        return follow_limits(start=_day(options["start"]), end=_day(options["end"]))
    return choose_limits(at=_day(asked))


def _share(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise InvalidInput("risk must be a number", code="bad_risk") from None
    if not value.is_finite() or not 0 < value <= Decimal("0.01"):
        raise InvalidInput("risk per trade must be above 0 and at most 0.01", code="bad_risk")
    return value
