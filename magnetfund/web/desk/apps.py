from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "magnetfund.web.desk"
    label = "desk"
