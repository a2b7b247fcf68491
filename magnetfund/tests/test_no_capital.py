"""Pages of a book that runs before its first money."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.conf import settings
from django.test import Client

from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_access import DESK
from trading.models import Valuation

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    Valuation.objects.create(
        book=settings.MAGNET_BOOK, at=utc_now(), equity=Decimal(0), cash=Decimal(0),
        unit_value=Decimal(100), peak_unit_value=Decimal(100), day_start_unit_value=Decimal(100),
    )  # fmt: skip
    client = Client()
    client.force_login(ensure_user(email="op@example.com", name="Op", roles=[Role.OPERATOR]))
    return client


def test_every_page_of_the_desk_opens_without_capital(client: Client):
    pages = sorted({"/", "/desk/trading/ticket/", "/desk/risk/stop/confirm/", *DESK})
    assert {path: client.get(path).status_code for path in pages} == dict.fromkeys(pages, 200)


def test_the_gauges_say_that_there_is_none_yet(client: Client):
    page = client.get("/desk/risk/").content.decode()
    assert page.count("no capital yet") == 2
    assert "No capital yet: the book waits for its first money" in page
