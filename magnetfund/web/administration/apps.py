from django.apps import AppConfig


class AdministrationConfig(AppConfig):
    name = "magnetfund.web.administration"
    label = "administration"
