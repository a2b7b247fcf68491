from django.urls import path

from magnetfund.web.live import live
from magnetfund.web.public import views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("home/", views.home, name="home"),
    path("live", live, name="live"),
]
