"""The pre-trade check: every control on every order, denials as coded values."""

from risk.domain.pretrade.check import check_order
from risk.domain.pretrade.types import (
    BookOrder,
    BookPosition,
    BookSnapshot,
    Check,
    CheckStatus,
    Control,
    EngineState,
    InstrumentRules,
    Mode,
    OrderRequest,
    OrderType,
    PreTradeVerdict,
    RecentOrder,
    ReferencePrice,
    Side,
)

__all__ = [
    "BookOrder",
    "BookPosition",
    "BookSnapshot",
    "Check",
    "CheckStatus",
    "Control",
    "EngineState",
    "InstrumentRules",
    "Mode",
    "OrderRequest",
    "OrderType",
    "PreTradeVerdict",
    "RecentOrder",
    "ReferencePrice",
    "Side",
    "check_order",
]
