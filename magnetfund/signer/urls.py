from django.urls import path

from magnetfund.signer import views

urlpatterns = [
    path("sign/<uuid:pk>/", views.sign, name="sign"),
    path("enrol/<str:token>/", views.enrol, name="enrol"),
]
