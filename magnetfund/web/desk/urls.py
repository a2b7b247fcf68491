from django.urls import path

from magnetfund.web.desk import dealing, exports, ticket, views

urlpatterns = [
    path("desk/", views.today, name="desk_today"),
    path("desk/risk/", views.risk, name="desk_risk"),
    path("desk/risk/stop/", views.emergency_stop, name="desk_stop"),
    path("desk/risk/disarm/", views.disarm, name="desk_disarm"),
    path("desk/risk/reset/", views.request_reset, name="desk_reset"),
    path("desk/risk/reset/<uuid:pk>/", views.decide_reset, name="desk_reset_decide"),
    path("desk/trading/", views.trading, name="desk_trading"),
    path("desk/trading/trades.csv", exports.trades, name="desk_trades_csv"),
    path("desk/trading/ticket/", ticket.preview, name="desk_ticket"),
    path("desk/trading/order/", ticket.place, name="desk_order"),
    path("desk/trading/close/<int:pk>/", ticket.close, name="desk_close"),
    path("desk/signals/", views.signals, name="desk_signals"),
    path("desk/fund/", views.nav, name="desk_nav"),
    path("desk/fund/orders/", dealing.orders, name="desk_dealing"),
    path("desk/fund/orders/<uuid:pk>/cancel/", dealing.cancel, name="desk_dealing_cancel"),
    path("desk/fund/prepare/", views.prepare_nav, name="desk_nav_prepare"),
    path("desk/fund/<uuid:pk>/", views.decide_nav, name="desk_nav_decide"),
]
