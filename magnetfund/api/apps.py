from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "magnetfund.api"
    label = "api"
