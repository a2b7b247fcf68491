from django.urls import path

from magnetfund.web.portal import views

urlpatterns = [
    path("overview/", views.overview, name="overview"),
    path("activity/", views.activity, name="activity"),
]
