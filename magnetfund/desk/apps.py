from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "magnetfund.desk"
    label = "desk"
