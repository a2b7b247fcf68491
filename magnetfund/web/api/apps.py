from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "magnetfund.web.api"
    label = "api"
