"""Settings of the test suite: the production file on a throwaway home.

The database URL is a placeholder; the suite's fixtures start a PostgreSQL of their own and point
every alias at it, each as its own role.
"""

import os
import shutil
import tempfile
from pathlib import Path

#: A file system in memory, where Linux has one: to copy a database there costs a tenth.
MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
#: Free bytes that must be there for a worker's cluster.
ROOM = 1 << 30
PREFIX = "magnetfund-test-"


def _choose_folder() -> Path | None:
    """Where the throwaway home lies; None for the usual place of temporary files."""
    try:
        may_run = not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
        is_wide = shutil.disk_usage(MEMORY).free > ROOM
    except (OSError, AttributeError):
        return None
    return MEMORY if may_run and is_wide and os.access(MEMORY, os.W_OK) else None


def _remove_left_homes() -> None:
    """Free the memory of runs that were killed: their folders are named by their process."""
    for folder in MEMORY.glob(f"{PREFIX}*"):
        process = folder.name.removeprefix(PREFIX).split("-")[0]
        if not Path("/proc", process).exists():
            shutil.rmtree(folder, ignore_errors=True)


_remove_left_homes()
os.environ.update(
    MAGNET_ENV="test",
    MAGNET_HOME=tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=_choose_folder()),
    SECRET_KEY="only-for-tests-" + "x" * 50,
    DATABASE_URL="postgresql://fa_app@127.0.0.1:1/unset",
)
for _name in (
    "DATABASE_OWNER_URL",
    "DATABASE_GATEWAY_URL",
    "DATABASE_STOP_URL",
    "DATABASE_SIGNER_URL",
    "SIGN_URL",
    "MAGNET_DB_ROLE",
    "REDIS_URL",
):
    os.environ.pop(_name, None)

from cryptography.fernet import Fernet  # noqa: E402

from magnetfund.settings import *  # noqa: E402, F403 - the environment must be set first

# Argon2 is slow on purpose; the suite signs in hundreds of times.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

# The key of second factors, as `prepare` makes it.
(MAGNET_HOME / "keys").mkdir()  # noqa: F405
(MAGNET_HOME / "keys" / "seeds.key").write_bytes(Fernet.generate_key())  # noqa: F405

# Tests sign in without a browser; those of the doors ask for the factor as the product does.
SECOND_FACTOR_REQUIRED = False

# Each test client builds its middleware anew; without this it reads every static file for it.
WHITENOISE_AUTOREFRESH = True
