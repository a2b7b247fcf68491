"""What a unit of each lot is worth after a dealt NAV, by one rule for transfers, distributions,
the register and the portal.

The NAV's price less the performance fee accrued on the lot.  A lot issued at the NAV, and one whose
fee was paid in units there, stand at the price; a lot that a transfer opened since stands at what
its origin was worth.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

from django.db import connection

from investors.models import NavStrike

#: For a ``WITH RECURSIVE`` over ``moved`` (``lot_id`` and more): ``source`` adds the lot that the
#: NAV valued in the place of each, and ``is_final``, whether nothing is accrued on it any more.
#: Only a lot that a transfer opened is followed to its origin, so that the others are one join.
SOURCE = """
taken AS (
  SELECT m.lot_id, m.lot_id AS source_id, 0 AS steps
  FROM moved m JOIN investors_unitlot l ON l.id = m.lot_id
  WHERE l.parent_id IS NOT NULL
  UNION ALL
  SELECT o.lot_id, l.parent_id, o.steps + 1
  FROM taken o JOIN investors_unitlot l ON l.id = o.source_id
  WHERE l.parent_id IS NOT NULL AND l.strike_id IS DISTINCT FROM %(strike)s AND NOT EXISTS (
    SELECT 1 FROM investors_lotnav n WHERE n.strike_id = %(strike)s AND n.lot_id = o.source_id)
),
origin AS (
  SELECT DISTINCT ON (lot_id) lot_id, source_id FROM taken ORDER BY lot_id, steps DESC
),
source AS (
  SELECT m.*, coalesce(o.source_id, m.lot_id) AS source_id, EXISTS (
    SELECT 1 FROM investors_unitentry f WHERE f.lot_id = coalesce(o.source_id, m.lot_id)
      AND f.strike_id = %(strike)s AND f.kind = 'fee_cancel') AS is_final
  FROM moved m LEFT JOIN origin o ON o.lot_id = m.lot_id
)
"""
_NET = f"""
WITH RECURSIVE moved AS (SELECT unnest(%(lots)s::uuid[]) AS lot_id),
{SOURCE}
SELECT l.id, CASE WHEN n.lot_id IS NULL OR o.is_final THEN coalesce(c.price, s.launch_price)
  ELSE n.net_value_per_unit END
FROM source o
JOIN investors_unitlot l ON l.id = o.lot_id
JOIN investors_shareclass s ON s.id = l.share_class_id
LEFT JOIN investors_lotnav n ON n.strike_id = %(strike)s AND n.lot_id = o.source_id
LEFT JOIN investors_classnav c ON c.strike_id = %(strike)s AND c.share_class_id = s.id
"""  # noqa: S608  # no input enters the text


def net_values(lots: Iterable[UUID], strike: NavStrike | None) -> dict[UUID, Decimal]:
    """Net value per unit of each lot after a dealt NAV; without one the launch price."""
    given = {"lots": list(lots), "strike": None if strike is None else strike.pk}
    with connection.cursor() as cursor:
        cursor.execute(_NET, given)
        return dict(cursor.fetchall())
