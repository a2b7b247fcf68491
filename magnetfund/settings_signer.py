"""Settings of the signer: two pages, and a role, key and origin of its own."""

import os
from urllib.parse import urlsplit

# Whatever starts it, it is signed in as itself.
os.environ["MAGNET_DB_ROLE"] = "signer"

from magnetfund.settings import *  # noqa: F403 - the environment must be set first
from magnetfund.settings import ALLOWED_HOSTS as WEB_HOSTS
from magnetfund.settings import BASE_DIR, DATABASES, IS_PRODUCTION, IS_TLS, SIGN_URL

# Each request has a thread of its own, whose session would outlast it: the role has few of them,
# and after as many requests nobody could sign.
DATABASES["default"]["CONN_MAX_AGE"] = 0

INSTALLED_APPS = ["django.contrib.staticfiles", "csp"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "magnetfund.signer.urls"
ASGI_APPLICATION = "magnetfund.signer.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    },
]
ALLOWED_HOSTS = [str(urlsplit(SIGN_URL).hostname)] if IS_PRODUCTION else WEB_HOSTS
# A browser keeps a __Host- cookie only where it is Secure, which a loopback home is not.
CSRF_COOKIE_NAME = "__Host-sign-csrf" if IS_TLS else "sign-csrf"
CSRF_FAILURE_VIEW = "magnetfund.signer.views.refuse_form"
CSRF_TRUSTED_ORIGINS = [SIGN_URL] if SIGN_URL.startswith("https://") else []
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "font-src": ["'self'"],
        "img-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    },
}
