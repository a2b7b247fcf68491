import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "magnetfund.settings_signer")
application = get_asgi_application()
