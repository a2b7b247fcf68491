"""One settings file with production-safe defaults; everything that differs comes by environment.

``MAGNET_ENV`` is ``production`` unless the environment says ``demo`` (``make run``) or ``test``.
Conveniences of the demo hold only there.  ``MAGNET_DB_ROLE`` picks the database role of a process:
``app`` for the web, ``worker`` for background jobs, ``gateway`` for the trader, ``signer`` for the
signer, ``backup`` for backups, ``owner`` for migrations alone.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import cast
from urllib.parse import urlsplit

from csp.constants import NONE, SELF

from magnetfund.env import (
    PROJECT,
    BadSetting,
    Environment,
    broker_url,
    parse_bucket_url,
    parse_database_url,
    redis_url,
)
from magnetfund.settings_libraries import REST_FRAMEWORK as REST_FRAMEWORK
from magnetfund.settings_libraries import UNFOLD as UNFOLD
from trading.venues import LIVE_VENUES

BASE_DIR = PROJECT
VERSION = "0.1.0"

try:
    _env = Environment.of_process()
    MAGNET_ENV = _env.choice("MAGNET_ENV", "production", ("production", "demo", "test"))
    MAGNET_HOME = _env.folder("MAGNET_HOME", BASE_DIR / "var")
    DOCUMENT_KEYS = _env.folder("DOCUMENT_KEYS", MAGNET_HOME / "document-keys")
    AGREEMENTS = _env.folder("AGREEMENTS", MAGNET_HOME / "agreements")
    BACKUP_FOLDER = _env.folder("BACKUP_FOLDER", MAGNET_HOME / "backups")
    BACKUP_KEY_FILE = _env.folder("BACKUP_KEY_FILE", MAGNET_HOME / "backup.key")
    BACKUP_BUCKET = parse_bucket_url(
        "BACKUP_S3_URL",
        _env.text("BACKUP_S3_URL", ""),
        region=_env.text("BACKUP_S3_REGION", "us-east-1"),
    )
    # Where the embedded PostgreSQL hands over its log; empty with a server of one's own.
    LOG_FOLDER = _env.text("LOG_FOLDER", "")
    MAGNET_BOOK = _env.text("MAGNET_BOOK", "main")
    BUILD_ID = _env.text("BUILD_ID", VERSION)
    IS_PRODUCTION = MAGNET_ENV == "production"
    DEBUG = False
    SECRET_KEY = _env.text("SECRET_KEY")
    if IS_PRODUCTION and len(SECRET_KEY) < 50:
        raise BadSetting("SECRET_KEY must have at least 50 characters")
    TRADING_MODE = _env.trading_mode(LIVE_VENUES)
    INITIAL_EQUITY = _env.decimal("INITIAL_EQUITY", "0", may_be_zero=True)
    MARKET = _env.text("MARKET", "").lower()
    STABLECOIN_RATES = _env.text("STABLECOIN_RATES", "")
    EXCHANGE_HOST = _env.url("EXCHANGE_HOST", "", ("http", "https"))
    EXCHANGE_PROXY = _env.url("EXCHANGE_PROXY", "", ("http", "https"))
    LOG_LEVEL = _env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
    DROPLET_ID = _env.integer("DROPLET_ID", 25, low=1, high=99999)
    STEWARD = _env.text("STEWARD", "Magnet Fund")
    PUBLIC_URL = _env.url("PUBLIC_URL", "http://localhost:8000", ("http", "https"))
    SIGN_URL = _env.url("SIGN_URL", "http://localhost:9000", ("http", "https")).rstrip("/")
    _host = str(urlsplit(PUBLIC_URL).hostname)
    #: A home that is opened on its own machine alone has nobody to serve TLS to.
    IS_LOOPBACK = PUBLIC_URL.startswith("http://") and _host in ("localhost", "127.0.0.1", "::1")
    IS_TLS = IS_PRODUCTION and not IS_LOOPBACK
    if IS_TLS and not PUBLIC_URL.startswith("https://"):
        raise BadSetting("PUBLIC_URL must begin with https:// unless its host is localhost")
    ALLOWED_HOSTS = _env.items(
        "ALLOWED_HOSTS",
        _host if IS_TLS else "localhost,127.0.0.1,[::1]" + ("" if IS_PRODUCTION else ",testserver"),
    )
    REGISTRY_URL = _env.url("REGISTRY_URL", "", ("http", "https"))
    ORCHESTRATOR_URL = _env.url("ORCHESTRATOR_URL", "", ("http", "https"))
    DASHBOARD_URL = _env.url("DASHBOARD_URL", "", ("http", "https"))
    REDIS_URL = redis_url(_env)
    DB_ROLE = _env.choice(
        "MAGNET_DB_ROLE", "app", ("app", "worker", "gateway", "signer", "backup", "owner")
    )
    _app_url = _env.text("DATABASE_URL")
    DATABASE_STOP_URL = _env.text("DATABASE_STOP_URL", "")
    _databases = {
        "app": parse_database_url("DATABASE_URL", _app_url),
        **{
            _role: parse_database_url(
                f"DATABASE_{_role.upper()}_URL",
                _env.text(f"DATABASE_{_role.upper()}_URL", _app_url),
            )
            for _role in ("worker", "gateway", "signer", "backup", "owner")
        },
    }
    STEP_UP_NOTIONAL = _env.decimal("STEP_UP_NOTIONAL", "50000")
    ROOT_WEBHOOK_URL = _env.url("ROOT_WEBHOOK_URL", "", ("https",))
    START_TOKEN = _env.text("MAGNET_START_TOKEN", "")
    DATABASE_POOL = _env.integer("DATABASE_POOL", 16, low=2, high=40)
except BadSetting as problem:
    sys.exit(f"magnetfund: {problem.message}")

for _name, _database in _databases.items():
    _database["CONN_HEALTH_CHECKS"] = True
    # The trader and commands keep the one session that they began with.
    _database["CONN_MAX_AGE"] = None
    if _name == DB_ROLE and DB_ROLE in ("app", "worker") and MAGNET_ENV != "test":
        # Web and workers: a thread per request borrows one of a few sessions; what finds none in
        # time, or a queue that is full, is answered with 503.
        _database["CONN_MAX_AGE"] = 0
        _database["OPTIONS"] = {
            **cast("dict[str, object]", _database["OPTIONS"]),
            "pool": {"min_size": 1, "max_size": DATABASE_POOL, "timeout": 3.0, "max_waiting": 200},
        }
DATABASES = {
    "default": _databases[DB_ROLE],
    "owner": _databases["owner"],
    "gateway": _databases["gateway"],
    "signer": _databases["signer"],
}
#: By whom a dump reads the database: the role for it, or the owner where a person has only that.
DUMP_DATABASE = _databases[
    "backup" if DB_ROLE == "backup" or _env.text("DATABASE_BACKUP_URL", "") else "owner"
]

INSTALLED_APPS = [
    "unfold",
    # Its pages are imported with the URLs: only the web serves them.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "corsheaders",
    "csp",
    "django_htmx",
    "template_partials",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "magnetfund.core",
    "risk",
    "trading",
    "investors",
    "magnetfund.web.api",
    "magnetfund.web.public",
    "magnetfund.web.desk",
    "magnetfund.web.portal",
    "magnetfund.operations",
    "magnetfund.web.administration",
]

MIDDLEWARE = [
    "magnetfund.web.api.vitals.VitalsMiddleware",
    "magnetfund.core.stop_lane.StopLaneMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "magnetfund.core.doors.PrivatePageMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "magnetfund.core.odd_requests.StorableTextMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "magnetfund.core.sessions.ActivityMiddleware",
    "magnetfund.core.local_time.LocalTimeMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "magnetfund.core.doors.SecondFactorMiddleware",
    "magnetfund.web.portal.read_only.AdviserMiddleware",
]

ROOT_URLCONF = "magnetfund.urls"
WSGI_APPLICATION = "magnetfund.wsgi.application"
ASGI_APPLICATION = "magnetfund.asgi.application"
AUTH_USER_MODEL = "core.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# ---- time, language --------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

# ---- files -----------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = MAGNET_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"] if (BASE_DIR / "static").is_dir() else []
MEDIA_ROOT = MAGNET_HOME / "media"
#: Old minutes as files; a backup holds them beside the dump.
CANDLE_FOLDER = MAGNET_HOME / "candles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "magnetfund.core.static_files.HashedStaticFiles"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not IS_PRODUCTION
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
FILE_UPLOAD_HANDLERS = [
    "magnetfund.core.upload_limit.BoundedUploadHandler",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# ---- people ----------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "magnetfund.core.sessions.PasswordBackend",
    "magnetfund.core.sessions.AccountBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.BCryptPasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/home/"
ACCOUNT_ADAPTER = "magnetfund.core.accounts.AccountAdapter"
ACCOUNT_FORMS = {"login": "magnetfund.core.accounts.StyledLoginForm"}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_SESSION_REMEMBER = False
# Guesses at a password are counted by magnetfund.core.sign_in_limits; these are those at a code.
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key", "login": "30/m/ip"}
#: People of the house open nothing without a second factor.
SECOND_FACTOR_REQUIRED = True
MFA_ADAPTER = "magnetfund.core.secret_text.FactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
# Whoever comes to an open session later sees no code that still works.
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_PASSKEY_SIGNUP_ENABLED = False
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not IS_TLS
MFA_TOTP_ISSUER = "Magnet Fund"
USERSESSIONS_TRACK_ACTIVITY = True
EMAIL_BACKEND = _env.text(
    "EMAIL_BACKEND",
    "django.core.mail.backends.smtp.EmailBackend"
    if IS_TLS
    else "django.core.mail.backends.filebased.EmailBackend",
)
EMAIL_FILE_PATH = MAGNET_HOME / "mail"
DEFAULT_FROM_EMAIL = _env.text("DEFAULT_FROM_EMAIL", "Magnet Fund <no-reply@example.com>")

# ---- browser ---------------------------------------------------------------------------------
IS_HTTPS = PUBLIC_URL.startswith("https://")
SECURE_SSL_REDIRECT = IS_TLS
# The web server itself reads X-Forwarded-For and -Proto, from TRUSTED_PROXIES alone; what comes
# after it sees the visitor's own address and scheme, and believes no header.
SECURE_PROXY_SSL_HEADER = None
ALLAUTH_TRUSTED_PROXY_COUNT = 0
SECURE_REDIRECT_EXEMPT = [r"^health$"]
SECURE_HSTS_SECONDS = 31_536_000 if IS_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_TLS
SECURE_HSTS_PRELOAD = IS_TLS
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_NAME = "__Host-session" if IS_TLS else "session"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_TLS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
IDLE_SECONDS = {"staff": 15 * 60, "investor": 30 * 60}
SESSION_ENGINE = "django.contrib.sessions.backends.db"
CSRF_COOKIE_NAME = "__Host-csrf" if IS_TLS else "csrf"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if IS_HTTPS else []
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "font-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        # The way to sign leads to the signer's own origin.
        "form-action": [SELF, SIGN_URL],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    },
}
CORS_ALLOWED_ORIGINS = _env.items("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"^/api/.*$"

# ---- API -------------------------------------------------------------------------------------
SPECTACULAR_SETTINGS = {
    "TITLE": "Magnet Fund API",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "StrategyStatus": ["active", "inactive", "error"],
        "AccountKind": ["bank", "wallet"],
        "ResearchState": "trading.models.RunState",
        "ResearchKind": "trading.models.ResearchRun.Kind",
        "NavLineStateEnum": "investors.models.NavStrike.State",
        "AskedAccountState": "investors.models.AccountChange.State",
        "OwnOrderLineStateEnum": "investors.models.DealingOrder.State",
        "OwnOrderLineTypeEnum": "investors.models.DealingOrder.Kind",
        "EstateStepKind": "investors.models.EstateStep.Kind",
        "SourceAccountEnum": ["1030", "1200"],
    },
}


def _key(name: str) -> str:
    path = MAGNET_HOME / "keys" / name
    return path.read_text() if path.is_file() else ""


SIMPLE_JWT = {
    "ALGORITHM": "RS256",
    "SIGNING_KEY": _key("jwt-private.pem"),
    "VERIFYING_KEY": _key("jwt-public.pem"),
    "ISSUER": "magnetfund",
    "AUDIENCE": "magnetfund-api",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(hours=24),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": False,
    "USER_ID_FIELD": "id",
    "AUTH_HEADER_TYPES": ("Bearer",),
}

CACHES = {
    # Counters of throttles: Redis, and PostgreSQL while Redis does not answer.
    "default": {"BACKEND": "magnetfund.core.counters.CounterCache", "LOCATION": REDIS_URL}
    if MAGNET_ENV != "test"
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # What outlives a loss of Redis: by which addresses an account is known.
    "durable": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "core_cachedcounter",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
    # What must ask nobody: the throttle of the emergency stop.
    "process": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "process",
    },
}
#: How long an anonymous public page and the answer of /health are shown again, in seconds.
PUBLIC_CACHE_SECONDS = 2.0 if MAGNET_ENV != "test" else 0.0

# ---- background work -------------------------------------------------------------------------
CELERY_BROKER_URL = broker_url(_env)
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 600
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

# ---- logs ------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "magnetfund.core.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "uvicorn.access": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}

SILENCED_SYSTEM_CHECKS: list[str] = []
