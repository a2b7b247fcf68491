"""Settings of the test suite: the production file on a throwaway home.

The database URL is a placeholder; the suite's fixtures start a PostgreSQL of their own and point
every alias at it, each as its own role.
"""

import os
import tempfile

os.environ.update(
    MAGNET_ENV="test",
    MAGNET_HOME=tempfile.mkdtemp(prefix="magnetfund-test-"),
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
