"""How production serves static files: under the hash of their content, compressed beforehand."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # untyped
    """Rewrites references among the files, but not those to source maps.

    Libraries ship without the maps that their last lines name; a browser asks for them only while
    somebody debugs.
    """

    patterns = tuple(
        (
            files,
            tuple(rule for rule in rules if "sourceMappingURL" not in str(rule)),
        )
        for files, rules in CompressedManifestStaticFilesStorage.patterns
    )
