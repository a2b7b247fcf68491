from django.apps import AppConfig


class InvestorsConfig(AppConfig):
    name = "investors"
    default_auto_field = "django.db.models.BigAutoField"
