from django.apps import AppConfig


class CoreConfig(AppConfig):
    """People, roles, audit, idempotency and the records of background jobs."""

    name = "magnetfund.core"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"
