"""Every URL of the platform, app by app."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("account/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("", include("magnetfund.web.public.urls")),
    path("", include("magnetfund.web.desk.urls")),
    path("", include("magnetfund.web.portal.urls")),
    path("", include("magnetfund.web.api.urls")),
]

handler500 = "magnetfund.web.api.errors.server_error"
