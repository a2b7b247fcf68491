"""Rows of the investors app: the fund and its classes, holders and lots, orders, NAV, ledger."""

from investors.models.account_changes import AccountChange
from investors.models.advisers import AdviserAccess
from investors.models.applications import (
    AgreementText,
    Application,
    Document,
    ScreeningList,
    ScreeningName,
    Signature,
)
from investors.models.attorneys import PowerOfAttorney
from investors.models.breaks import BookBreak
from investors.models.dealing import DealingDay, DealingOrder
from investors.models.estates import DeathReport, EstateStep
from investors.models.expenses import Expense, ExpenseChange
from investors.models.fund import (
    ClassPolicyVersion,
    Fund,
    FundHoliday,
    ShareClass,
    TermsProposal,
)
from investors.models.holders import Holding, Investor, InvestorSnapshot, UnitEntry, UnitLot
from investors.models.kyc import KycCase, KycCheck, KycMove, Screening
from investors.models.ledger import Account, Entry, EntryBalance, Posting
from investors.models.messages import Message, SuspensionProposal
from investors.models.money import (
    FundAccount,
    LineAllocation,
    PayeeAccount,
    StatementFile,
    StatementLine,
)
from investors.models.nav import ClassNav, LotNav, NavStrike
from investors.models.papers import Paper
from investors.models.payments import Payment, PaymentFile
from investors.models.pockets import PocketChange, PocketEntry, SidePocket
from investors.models.proposals import DealingProposal, Distribution
from investors.models.rates import CoinRate, ParTerm, RateProposal
from investors.models.rebates import Rebate
from investors.models.restatements import Restatement

__all__ = [
    "Account",
    "AccountChange",
    "AdviserAccess",
    "AgreementText",
    "Application",
    "BookBreak",
    "ClassNav",
    "ClassPolicyVersion",
    "CoinRate",
    "DealingDay",
    "DealingOrder",
    "DealingProposal",
    "DeathReport",
    "Distribution",
    "Document",
    "Entry",
    "EntryBalance",
    "EstateStep",
    "Expense",
    "ExpenseChange",
    "Fund",
    "FundAccount",
    "FundHoliday",
    "Holding",
    "Investor",
    "InvestorSnapshot",
    "KycCase",
    "KycCheck",
    "KycMove",
    "LineAllocation",
    "LotNav",
    "Message",
    "NavStrike",
    "Paper",
    "ParTerm",
    "PayeeAccount",
    "Payment",
    "PaymentFile",
    "PocketChange",
    "PocketEntry",
    "Posting",
    "PowerOfAttorney",
    "RateProposal",
    "Rebate",
    "Restatement",
    "Screening",
    "ScreeningList",
    "ScreeningName",
    "ShareClass",
    "SidePocket",
    "Signature",
    "StatementFile",
    "StatementLine",
    "SuspensionProposal",
    "TermsProposal",
    "UnitEntry",
    "UnitLot",
]
