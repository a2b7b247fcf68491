"""The admin's side bar by the work that is done there, in the words of the trade."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

#: Groups of (title, icon, table).  Every table can be reached from the list of all tables.
GROUPS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Fund",
        (
            ("Funds", "account_balance", "investors.fund"),
            ("Share classes", "category", "investors.shareclass"),
            ("Terms proposed", "edit_document", "investors.termsproposal"),
            ("Terms in force", "gavel", "investors.classpolicyversion"),
            ("Dealing days", "calendar_month", "investors.dealingday"),
            ("Holidays", "event_busy", "investors.fundholiday"),
        ),
    ),
    (
        "Investors",
        (
            ("Investors", "groups", "investors.investor"),
            ("Orders", "receipt_long", "investors.dealingorder"),
            ("Holdings", "pie_chart", "investors.holding"),
            ("Lots", "layers", "investors.unitlot"),
            ("Advisers", "visibility", "investors.adviseraccess"),
            ("Powers of attorney", "gavel", "investors.powerofattorney"),
            ("Deaths", "event", "investors.deathreport"),
            ("Estates", "family_restroom", "investors.estatestep"),
        ),
    ),
    (
        "Money",
        (
            ("Accounts of the fund", "account_balance_wallet", "investors.fundaccount"),
            ("Accounts paid", "contacts", "investors.payeeaccount"),
            ("Accounts asked for", "contact_phone", "investors.accountchange"),
            ("Statements", "upload_file", "investors.statementfile"),
            ("Lines of statements", "receipt", "investors.statementline"),
            ("Payments", "payments", "investors.payment"),
            ("Rebates of fees", "undo", "investors.rebate"),
            ("Side pockets", "inventory_2", "investors.sidepocket"),
            ("Values and cash of pockets", "price_change", "investors.pocketchange"),
        ),
    ),
    (
        "NAV and books",
        (
            ("NAVs", "functions", "investors.navstrike"),
            ("Rates entered", "currency_exchange", "investors.rateproposal"),
            ("Rates of stablecoins", "show_chart", "investors.coinrate"),
            ("Terms of par", "balance", "investors.parterm"),
            ("Ledger entries", "menu_book", "investors.entry"),
            ("Accounts", "list_alt", "investors.account"),
        ),
    ),
    (
        "Risk",
        (
            ("Limits in force", "shield", "risk.limitset"),
            ("Limits proposed", "tune", "risk.limitproposal"),
            ("Fuse events", "bolt", "risk.fuseevent"),
            ("Pre-trade checks", "fact_check", "risk.pretradecheck"),
        ),
    ),
    (
        "Trading",
        (
            ("Instruments", "monitoring", "trading.instrument"),
            ("What a book trades", "playlist_add_check", "trading.bookmember"),
            ("Orders", "swap_horiz", "trading.order"),
            ("Fills", "done_all", "trading.fill"),
            ("Positions", "donut_small", "trading.position"),
            ("Trades", "history", "trading.trade"),
        ),
    ),
    (
        "People",
        (
            ("Accounts", "person", "core.user"),
            ("Roles", "badge", "core.rolegrant"),
            ("Audit trail", "policy", "core.auditevent"),
        ),
    ),
)


def build_navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups as the admin's side bar wants them, with the lists that open to who asks; asked anew
    for each page."""
    found = [
        {
            "title": title,
            "collapsible": False,
            "items": [
                {
                    "title": name,
                    "icon": icon,
                    "link": reverse(f"admin:{table.replace('.', '_')}_changelist"),
                }
                for name, icon, table in tables
                if admin.site._registry[apps.get_model(table)].has_view_permission(request)
            ],
        }
        for title, tables in GROUPS
    ]
    return [group for group in found if group["items"]]
