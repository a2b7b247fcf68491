from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "magnetfund.portal"
    label = "portal"
