from django.urls import path

from magnetfund.web.portal import dealing, views

urlpatterns = [
    path("overview/", views.overview, name="overview"),
    path("activity/", views.activity, name="activity"),
    path("redeem/", dealing.redeem, name="redeem"),
    path("redeem/confirm/", dealing.confirm_redemption, name="redeem_confirm"),
    path("subscribe/", dealing.subscribe, name="subscribe"),
    path("subscribe/confirm/", dealing.confirm_subscription, name="subscribe_confirm"),
    path("orders/<uuid:pk>/", dealing.show_order, name="order"),
    path("orders/<uuid:pk>/notes/<uuid:strike>.pdf", dealing.note, name="order_note"),
    path("orders/<uuid:pk>/cancel/", dealing.cancel, name="order_cancel"),
]
