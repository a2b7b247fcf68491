from django.urls import path

from magnetfund.web.live import live
from magnetfund.web.public import join, views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("home/", views.home, name="home"),
    path("join/<str:word>/", join.join, name="join"),
    path("live", live, name="live"),
]
