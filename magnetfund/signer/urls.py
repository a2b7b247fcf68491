from django.urls import path

from magnetfund.signer import views

urlpatterns = [
    path("sign/<uuid:pk>/", views.sign, name="sign"),
    path("enrol/<str:token>/", views.enrol, name="enrol"),
]

# The pages of the platform need what this process does not have.
handler400 = "magnetfund.signer.views.refuse_request"
handler403 = "magnetfund.signer.views.refuse_request"
handler404 = "magnetfund.signer.views.show_nothing"
handler500 = "magnetfund.signer.views.show_failure"
