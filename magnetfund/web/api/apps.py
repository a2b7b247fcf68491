from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "magnetfund.web.api"
    label = "api"

    def ready(self) -> None:
        from magnetfund.web.api import schema  # noqa: F401 - registers itself
