#!/bin/sh
# Runs once, when PostgreSQL makes its data folder: a role and its databases for each server that keeps its state there.
set -eu
psql=${PSQL:-psql}
files=${FILES:-/files}

# make ROLE DATABASE... : the password comes from a file and goes through the environment of psql, not through its arguments.
make() {
  role=$1
  shift
  PASSWORD=$(cat "$files/$role-password") "$psql" --no-psqlrc --set=ON_ERROR_STOP=1 --username=postgres --set="role=$role" <<'SQL'
\getenv password PASSWORD
set password_encryption = 'scram-sha-256';
create role :"role" login password :'password';
SQL
  for database in "$@"; do
    "$psql" --no-psqlrc --set=ON_ERROR_STOP=1 --username=postgres --set="role=$role" --set="database=$database" <<'SQL'
create database :"database" owner :"role";
revoke all on database :"database" from public;
SQL
  done
}

make temporal temporal temporal_visibility
make keycloak keycloak
