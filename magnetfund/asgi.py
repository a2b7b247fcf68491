import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "magnetfund.settings")
handler = get_asgi_application()

from magnetfund.core import stop_line  # noqa: E402 - settings must be loaded first
from magnetfund.core.upload_limit import BodyLimit  # noqa: E402 - settings must be loaded first

application = BodyLimit(handler)

stop_line.hold_open()
