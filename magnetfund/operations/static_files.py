"""Static files as the web process serves them in production: under their hashes, compressed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command


def collect_static_files() -> bool:
    """Collect and compress what the pages need, where any of it changed; whether it did.

    To compress a thousand files that are the same costs every start seconds of a processor.
    """
    root = Path(settings.STATIC_ROOT)
    mark, digest = root.with_name(f"{root.name}.sha256"), _digest_of_sources()
    if (root / "staticfiles.json").is_file() and mark.is_file() and mark.read_text() == digest:
        return False
    mark.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    mark.write_text(digest)
    return True


def _digest_of_sources() -> str:
    """SHA-256 over the names, sizes and times of the sources, and over what works on them."""
    lines = [f"{name} {version(name)}" for name in ("django", "whitenoise")]
    lines.append(repr(settings.STORAGES["staticfiles"]))
    lines += sorted(_sources())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _sources() -> Iterator[str]:
    for finder in get_finders():
        for name, storage in finder.list([]):
            path = Path(storage.path(name))
            found = path.stat()
            yield f"{path} {found.st_size} {found.st_mtime_ns}"
