"""Create the demo fund with months of simulated history. Does nothing if it already exists."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from magnetfund.core.commands import FundCommand, Progress
from magnetfund.kernel.errors import NotAllowed
from magnetfund.operations.demo.load import LOGIN_FILE, load_demo
from trading.services.market_choice import names_real_market


class Command(FundCommand):
    help = __doc__

    def work(self, **options: Any) -> dict[str, Any]:
        if settings.IS_PRODUCTION:
            raise NotAllowed(
                "the demo fund cannot be loaded into a production installation", code="production"
            )
        bar: list[Progress] = []

        def start(bars: int) -> None:
            bar.append(Progress(label="simulating demo fund history", total=bars))

        report = load_demo(on_start=start, on_bar=lambda: bar[0].advance())
        if report is None:
            self.say("The demo fund already exists; nothing was changed.")
            return {"made": False}
        self.say(
            f"Demo fund: {report.months} months, {report.trades} trades, {report.navs} NAVs, "
            f"{report.investors} investors, equity {report.equity:,.2f} USD ({_prices()})."
        )
        self.say(f"Sign-in details are in {settings.MAGNET_HOME / LOGIN_FILE}.")
        return {
            "made": True,
            "months": report.months,
            "bars": report.bars,
            "trades": report.trades,
            "navs": report.navs,
            "investors": report.investors,
            "equity": f"{report.equity:.2f}",
        }


def _prices() -> str:
    if names_real_market():
        return f"SIMULATED past on the hours of {settings.MARKET}"
    return "SIMULATED"
