"""Paths of the API; the droplet's own lie at the root."""

from __future__ import annotations

from django.urls import path, re_path
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from magnetfund.web.api import (
    breaks,
    calculators,
    dealing,
    dealing_proposals,
    distributions,
    errors,
    investors,
    kyc,
    money,
    navs,
    papers,
    payments,
    proof,
    research,
    strategies,
    tokens,
    trading,
    udc,
)

urlpatterns = [
    path("health", udc.HealthView.as_view(), name="health"),
    path("health/database", udc.DatabaseHealthView.as_view(), name="health_database"),
    path("capabilities", udc.CapabilitiesView.as_view(), name="capabilities"),
    path("state", udc.StateView.as_view(), name="state"),
    path("dependencies", udc.DependenciesView.as_view(), name="dependencies"),
    path("api/auth/token", tokens.TokenView.as_view(), name="api_token"),
    path("api/auth/step-up", tokens.StepUpView.as_view(), name="api_step_up"),
    path("api/auth/refresh", tokens.RefreshView.as_view(), name="api_refresh"),
    path("api/investor/login", tokens.InvestorTokenView.as_view(), name="api_investor_login"),
    path("api/investor/register", kyc.RegisterView.as_view(), name="api_investor_register"),
    path("api/kyc/cases", kyc.CasesView.as_view(), name="api_kyc_cases"),
    path("api/kyc/cases/<uuid:pk>", kyc.CaseView.as_view(), name="api_kyc_case"),
    path("api/kyc/cases/<uuid:pk>/checks", kyc.ChecksView.as_view(), name="api_kyc_checks"),
    path("api/kyc/cases/<uuid:pk>/rating", kyc.RatingView.as_view(), name="api_kyc_rating"),
    path(
        "api/kyc/cases/<uuid:pk>/screenings",
        kyc.ScreeningsView.as_view(),
        name="api_kyc_screenings",
    ),
    path(
        "api/kyc/cases/<uuid:pk>/decisions",
        kyc.DecisionsView.as_view(),
        name="api_kyc_decisions",
    ),
    path("api/kyc/cases/<uuid:pk>/review", kyc.ReviewView.as_view(), name="api_kyc_review"),
    path("api/kyc/cases/<uuid:pk>/moves", kyc.MovesView.as_view(), name="api_kyc_moves"),
    path(
        "api/investor/dashboard",
        investors.DashboardView.as_view(),
        name="api_investor_dashboard",
    ),
    path(
        "api/investor/statements",
        papers.OwnStatementsView.as_view(),
        name="api_investor_statements",
    ),
    path(
        "api/investor/statements/<uuid:pk>",
        papers.OwnStatementView.as_view(),
        name="api_investor_statement",
    ),
    path(
        "api/investor/papers/<uuid:pk>.pdf",
        papers.OwnPaperView.as_view(),
        name="api_investor_paper",
    ),
    path("api/investor/proof", proof.OwnProofView.as_view(), name="api_investor_proof"),
    path("api/papers", papers.PapersView.as_view(), name="api_papers"),
    path("api/papers/<uuid:pk>.pdf", papers.PaperFileView.as_view(), name="api_paper"),
    path("api/papers/statements", papers.MakeStatementsView.as_view(), name="api_make_statements"),
    path(
        "api/investor/performance",
        investors.InvestorPerformanceView.as_view(),
        name="api_investor_performance",
    ),
    path(
        "api/investor/withdraw",
        dealing.WithdrawView.as_view(),
        name="api_investor_withdraw",
    ),
    path(
        "api/investor/subscribe",
        dealing.SubscribeView.as_view(),
        name="api_investor_subscribe",
    ),
    path("api/investor/switch", dealing.SwitchView.as_view(), name="api_investor_switch"),
    path(
        "api/investor/switch/quote",
        dealing.SwitchQuoteView.as_view(),
        name="api_investor_switch_quote",
    ),
    path("api/leverage/calculate", calculators.LeverageView.as_view(), name="api_leverage"),
    path("api/sizing/calculate", calculators.SizingView.as_view(), name="api_sizing"),
    path(
        "api/performance/current",
        trading.CurrentPerformanceView.as_view(),
        name="api_performance_current",
    ),
    path(
        "api/performance/history",
        trading.PerformanceHistoryView.as_view(),
        name="api_performance_history",
    ),
    path("api/trades/recent", trading.RecentTradesView.as_view(), name="api_trades_recent"),
    path("api/positions/open", trading.OpenPositionsView.as_view(), name="api_positions_open"),
    path("api/fuse/status", trading.FuseStatusView.as_view(), name="api_fuse_status"),
    path("api/trade/execute", trading.ExecuteView.as_view(), name="api_trade_execute"),
    path(
        "api/system/emergency-stop",
        trading.EmergencyStopView.as_view(),
        name="api_emergency_stop",
    ),
    path(
        "api/dealing/proposals",
        dealing_proposals.DealingProposalsView.as_view(),
        name="api_dealing_proposals",
    ),
    path(
        "api/dealing/proposals/<uuid:pk>/decision",
        dealing_proposals.DealingDecisionView.as_view(),
        name="api_dealing_decision",
    ),
    path("api/money/breaks", breaks.BreaksView.as_view(), name="api_breaks"),
    path("api/money/breaks/<uuid:pk>/step", breaks.BreakStepView.as_view(), name="api_break_step"),
    path("api/nav", navs.KnownNavView.as_view(), name="api_nav_as_known"),
    path(
        "api/dealing/distributions",
        distributions.DistributionsView.as_view(),
        name="api_distributions",
    ),
    path(
        "api/dealing/distributions/<uuid:pk>/decision",
        distributions.DistributionDecisionView.as_view(),
        name="api_distribution_decision",
    ),
    path("api/money/statements", money.StatementsView.as_view(), name="api_statements"),
    path("api/money/receipts", money.ReceiptsView.as_view(), name="api_receipts"),
    path("api/money/receipts/<uuid:pk>/match", money.MatchView.as_view(), name="api_receipt_match"),
    path("api/money/payments", payments.PaymentsView.as_view(), name="api_payments"),
    path(
        "api/money/payments/<uuid:pk>/step",
        payments.PaymentStepView.as_view(),
        name="api_payment_step",
    ),
    path("api/backtests", research.BacktestsView.as_view(), name="api_backtests"),
    path("api/backtests/<int:pk>", research.BacktestView.as_view(), name="api_backtest"),
    path(
        "api/strategies/health",
        strategies.StrategiesHealthView.as_view(),
        name="api_strategies_health",
    ),
    path(
        "api/strategies/performance",
        strategies.StrategiesPerformanceView.as_view(),
        name="api_strategies_performance",
    ),
    path(
        "api/<slug:code>/health",
        strategies.StrategyHealthView.as_view(),
        name="api_strategy_health",
    ),
    path("api/schema", SpectacularAPIView.as_view(), name="api_schema"),
    path(
        "docs",
        require_safe(SpectacularSwaggerView.as_view(url_name="api_schema")),
        name="api_docs",
    ),
    re_path(r"^api/.*$", errors.not_found),
]
