"""What libraries are told in every environment: the API's classes and rates, the admin's look."""

from __future__ import annotations

from django.templatetags.static import static

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "magnetfund.web.api.authentication.FamilyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["magnetfund.web.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": [
        "rest_framework.throttling.AnonRateThrottle",
        "rest_framework.throttling.UserRateThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": {
        "anon": "100/min",
        "user": "1000/min",
        "stop": "10/min",
        "sign_in": "20/min",
        "register_mail": "10/min",
    },
    "EXCEPTION_HANDLER": "magnetfund.web.api.errors.handle_exception",
    "NUM_PROXIES": 0,
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

#: The teal of the pages, from its wash to its darkest.
_TEAL = (
    "#EFF8F7", "#D6EEEC", "#AFDDD9", "#7FC8C2", "#45ABA4", "#1A8F89", "#0B7A75", "#096560",
    "#08514D", "#07403D", "#042826",
)  # fmt: skip
UNFOLD = {
    "SITE_TITLE": "Magnet Fund",
    "SITE_HEADER": "Magnet Fund",
    "SITE_ICON": lambda request: static("img/mark.svg"),
    "SHOW_VIEW_ON_SITE": False,
    "COLORS": {
        "primary": dict(zip(("50", *(f"{n}00" for n in range(1, 10)), "950"), _TEAL, strict=True))
    },
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": True,
        "navigation": "magnetfund.web.administration.navigation.build_navigation",
    },
}
