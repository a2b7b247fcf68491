"""Every URL of the platform, app by app."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from magnetfund.web.public.second_factor import second_factor

admin.autodiscover()
# One way in: the sign-in of the account, with its limits and its second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns: list[URLPattern | URLResolver] = [
    path("account/second-factor/", second_factor, name="second_factor"),
    path("account/", include("allauth.urls")),
    path("admin/password_change/", RedirectView.as_view(pattern_name="account_change_password")),
    path("admin/", admin.site.urls),
    path("", include("magnetfund.web.public.urls")),
    path("", include("magnetfund.web.desk.urls")),
    path("", include("magnetfund.web.portal.urls")),
    path("", include("magnetfund.web.api.urls")),
]

handler500 = "magnetfund.web.api.errors.server_error"
