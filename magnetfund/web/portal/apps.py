from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "magnetfund.web.portal"
    label = "portal"
