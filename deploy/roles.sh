#!/bin/sh
# Makes the database and the role that prepares the others, on the first start of the PostgreSQL
# image. `manage.py prepare_roles` makes the login roles of the platform from there on.
set -eu
for name in FA_ADMIN_PASSWORD FA_OWNER_PASSWORD; do
  eval "value=\${$name:-}"
  [ -n "$value" ] || { echo "$name is not set" >&2; exit 1; }
done
psql -v ON_ERROR_STOP=1 --username postgres \
  -v admin="$FA_ADMIN_PASSWORD" -v owner="$FA_OWNER_PASSWORD" <<'SQL'
CREATE ROLE fa_admin LOGIN CREATEROLE PASSWORD :'admin';
SET ROLE fa_admin;
CREATE ROLE fa_owner LOGIN PASSWORD :'owner';
RESET ROLE;
CREATE DATABASE magnetfund OWNER fa_owner;
\connect magnetfund
ALTER SCHEMA public OWNER TO fa_owner;
SQL
