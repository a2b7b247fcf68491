from django.apps import AppConfig


class PublicConfig(AppConfig):
    name = "magnetfund.web.public"
    label = "public"
