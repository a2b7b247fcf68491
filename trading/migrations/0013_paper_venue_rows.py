"""Homes of earlier versions: one memory becomes the trader's, and the paper venue's rows."""

from decimal import Decimal

from django.db import migrations

LIVE = ("ACKED", "PARTIALLY_FILLED", "CANCEL_PENDING")


def part_memories(apps, schema_editor):
    """The trader keeps the book; the venue gets accounts, cash and the orders that rest."""
    row_of = apps.get_model("trading", "PaperVenueState").objects
    for venue in row_of.all():
        state = venue.state
        if "book" not in state:
            continue
        number = int(state["sequence"])
        apps.get_model("trading", "BookMemory").objects.create(
            book=venue.book,
            revision=venue.revision,
            state={
                "book": state["book"],
                "shares": state["shares"],
                "booked": number,
                "flow_id": state["flow_id"],
                "decided": state.get("decided", {}),
                "layout": state.get("layout"),
            },
            updated_at=venue.updated_at,
        )
        venue.state = {
            "accounts": _accounts(apps, venue.book),
            "cash": str(Decimal(repr(state["book"]["cash"]))),
            "number": number,
            "flow_id": state["flow_id"],
        }
        venue.save()
        _take_orders(apps, venue.book)


def _accounts(apps, book):
    found = {}
    rows = apps.get_model("trading", "Position").objects.filter(book=book).exclude(quantity=0)
    for row in rows.select_related("instrument"):
        tick, lot = row.instrument.tick, row.instrument.lot
        found[f"{row.strategy}|{row.instrument_id}"] = {
            "side": 1 if row.quantity > 0 else -1,
            "lots": int(abs(row.quantity) / lot),
            "entry_ticks": int(row.average_price / tick),
            "liquidation_ticks": int((row.liquidation_price or 0) / tick),
            "leverage": row.leverage,
        }
    return found


def _take_orders(apps, book):
    paper_order = apps.get_model("trading", "PaperOrder")
    for row in apps.get_model("trading", "Order").objects.filter(book=book, state__in=LIVE):
        paper_order.objects.create(
            client_order_id=row.client_order_id,
            book=book,
            instrument=row.instrument,
            account=row.strategy,
            side=row.side,
            type=row.type,
            quantity=row.quantity,
            trigger_price=row.trigger_price,
            reduce_only=row.purpose != "entry",
            leverage=row.leverage,
            is_urgent=row.purpose in ("fuse", "cut"),
            status="open",
            filled_quantity=row.filled_quantity,
            taken_at=row.occurred_at,
        )


class Migration(migrations.Migration):
    dependencies = [("trading", "0012_paper_venue")]
    operations = [migrations.RunPython(part_memories, migrations.RunPython.noop)]
