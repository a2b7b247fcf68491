#!/bin/sh
# Makes the roles and the database on the first start of the PostgreSQL image.
set -eu
for name in FA_OWNER_PASSWORD FA_APP_PASSWORD FA_GATEWAY_PASSWORD FA_AUDITOR_PASSWORD; do
  eval "value=\${$name:-}"
  [ -n "$value" ] || { echo "$name is not set" >&2; exit 1; }
done
psql -v ON_ERROR_STOP=1 --username postgres \
  -v owner="$FA_OWNER_PASSWORD" -v app="$FA_APP_PASSWORD" \
  -v gateway="$FA_GATEWAY_PASSWORD" -v auditor="$FA_AUDITOR_PASSWORD" <<'SQL'
CREATE ROLE fa_owner LOGIN PASSWORD :'owner';
CREATE ROLE fa_app LOGIN PASSWORD :'app';
CREATE ROLE fa_gateway LOGIN PASSWORD :'gateway';
CREATE ROLE fa_auditor LOGIN PASSWORD :'auditor';
CREATE DATABASE magnetfund OWNER fa_owner;
\connect magnetfund
ALTER SCHEMA public OWNER TO fa_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO fa_app, fa_gateway, fa_auditor;
SQL
