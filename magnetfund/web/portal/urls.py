from django.urls import path

from magnetfund.web.portal import dealing, own, proof, switching, vault, views

urlpatterns = [
    path("overview/", views.overview, name="overview"),
    path("overview/returns.csv", views.returns_file, name="own_returns_file"),
    path("activity/", views.activity, name="activity"),
    path("statements/", vault.statements, name="statements"),
    path("statements/<uuid:pk>/", vault.statement, name="statement"),
    path("papers/<uuid:pk>.pdf", vault.paper, name="own_paper"),
    path("transfers/<uuid:pk>/note.pdf", vault.transfer, name="own_transfer_note"),
    path("proof/", proof.proof, name="proof"),
    path("proof/check_units.py", proof.checker, name="proof_checker"),
    path("proof/proof-<int:number>.json", proof.proof_file, name="proof_file"),
    path("messages/", own.inbox, name="messages"),
    path("messages/read/", own.read, name="messages_read"),
    path("settings/", own.preferences, name="preferences"),
    path("navs/", own.past_navs, name="navs"),
    path("trades/", own.trades, name="own_trades"),
    path("my-risk/", own.my_risk, name="my_risk"),
    path("redeem/", dealing.redeem, name="redeem"),
    path("redeem/confirm/", dealing.confirm_redemption, name="redeem_confirm"),
    path("switch/", switching.switch, name="switch"),
    path("switch/confirm/", switching.confirm_switch, name="switch_confirm"),
    path("subscribe/", dealing.subscribe, name="subscribe"),
    path("subscribe/confirm/", dealing.confirm_subscription, name="subscribe_confirm"),
    path("orders/<uuid:pk>/", dealing.show_order, name="order"),
    path("orders/<uuid:pk>/notes/<uuid:strike>.pdf", dealing.note, name="order_note"),
    path("orders/<uuid:pk>/cancel/", dealing.cancel, name="order_cancel"),
]
