"""How the API's own token stands in the schema."""

from __future__ import annotations

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme


class FamilyScheme(SimpleJWTScheme):  # type: ignore[no-untyped-call]  # untyped
    """A bearer token, as the library describes its own."""

    target_class = "magnetfund.web.api.authentication.FamilyAuthentication"
