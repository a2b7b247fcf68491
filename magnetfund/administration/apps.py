from django.apps import AppConfig


class AdministrationConfig(AppConfig):
    name = "magnetfund.administration"
    label = "administration"
