"""Rows of the trading app, by stage of the flow."""

from trading.models.blackouts import EventBlackout
from trading.models.checks import AccountSnapshot, LeverageReading
from trading.models.depth import DepthMinute
from trading.models.execution import (
    Fill,
    FundingPayment,
    Order,
    OrderEvent,
    Position,
    Trade,
)
from trading.models.kept_sums import FillDay, FillTotal, TradeDay
from trading.models.market import (
    Candle,
    CandleFile,
    CandleGap,
    FundingRate,
    Instrument,
    MarketEvent,
    MarketRefusal,
)
from trading.models.membership import BookMember
from trading.models.operation import (
    BookFlow,
    EngineTransition,
    Reconciliation,
    ReplayRun,
    TradingSession,
)
from trading.models.options import OptionListing, OptionSnapshot
from trading.models.performance import StrategyNote, StrategyPerformance
from trading.models.research import ResearchRun, RunState, SweepChunk, Trial
from trading.models.signals import Magnet, Proposal, Signal, Strategy
from trading.models.sleeves import SleeveProposal
from trading.models.stresses import SavedStress
from trading.models.valuation import Valuation
from trading.models.venue import BookMemory, PaperEvent, PaperOrder, PaperVenueState

__all__ = [
    "AccountSnapshot",
    "BookFlow",
    "BookMember",
    "BookMemory",
    "Candle",
    "CandleFile",
    "CandleGap",
    "DepthMinute",
    "EngineTransition",
    "EventBlackout",
    "Fill",
    "FillDay",
    "FillTotal",
    "FundingPayment",
    "FundingRate",
    "Instrument",
    "LeverageReading",
    "Magnet",
    "MarketEvent",
    "MarketRefusal",
    "OptionListing",
    "OptionSnapshot",
    "Order",
    "OrderEvent",
    "PaperEvent",
    "PaperOrder",
    "PaperVenueState",
    "Position",
    "Proposal",
    "Reconciliation",
    "ReplayRun",
    "ResearchRun",
    "RunState",
    "SavedStress",
    "Signal",
    "SleeveProposal",
    "Strategy",
    "StrategyNote",
    "StrategyPerformance",
    "SweepChunk",
    "Trade",
    "TradeDay",
    "TradingSession",
    "Trial",
    "Valuation",
]
