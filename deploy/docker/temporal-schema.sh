#!/bin/sh
# Brings Temporal's two databases to the newest schema; safe to repeat. SQL_PASSWORD comes from the env file.
set -eu
tool() {
  database=$1
  shift
  temporal-sql-tool --plugin postgres12 --ep postgres --port 5432 --user temporal --database "$database" \
    --tls --tls-ca-file /files/ca.pem --tls-server-name postgres "$@"
}

for pair in temporal:temporal temporal_visibility:visibility; do
  tool "${pair%%:*}" setup-schema --version 0.0
  tool "${pair%%:*}" update-schema --schema-dir "/etc/temporal/schema/postgresql/v12/${pair##*:}/versioned"
done
