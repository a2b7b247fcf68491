from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "magnetfund.operations"
    label = "operations"
