from django.urls import path

from magnetfund.operations.first_account import PLACE
from magnetfund.web.live import live
from magnetfund.web.public import apply, join, views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("home/", views.home, name="home"),
    path("apply/", apply.start, name="apply"),
    path("apply/status/", apply.status, name="apply_status"),
    path("apply/withdraw/", apply.withdraw, name="apply_withdraw"),
    path("apply/open/<str:word>/", apply.open_by_link, name="apply_open"),
    path("apply/papers/<uuid:pk>/remove/", apply.remove_paper, name="apply_remove_paper"),
    path("apply/<slug:step>/", apply.show_step, name="apply_step"),
    path(f"{PLACE}<str:word>/", join.found_home, name="found_home"),
    path("join/<str:word>/", join.join, name="join"),
    path("live", live, name="live"),
]
