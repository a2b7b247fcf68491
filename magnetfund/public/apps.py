from django.apps import AppConfig


class PublicConfig(AppConfig):
    name = "magnetfund.public"
    label = "public"
