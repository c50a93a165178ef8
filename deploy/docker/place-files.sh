#!/bin/sh
# Gives every service the files that it needs and no other, readable by its user only. Sources: what `npm run docker:files`
# made (FROM) and, once there was an installation, what it wrote (DATA/install). Runs as root, in a container without a network.
set -eu
umask 077
from=${FROM:-/from} to=${TO:-/to} data=${DATA:-/data}

# give USER SERVICE NAME SOURCE
give() {
  install -d -o "$1" -g "$1" -m 700 "$to/$2"
  install -o "$1" -g "$1" -m 600 "$4" "$to/$2/$3"
}

for service in postgres openbao nats temporal keycloak api; do
  case $service in postgres) user=999 ;; *) user=1000 ;; esac
  give "$user" "$service" server.pem "$from/$service.pem"
  give "$user" "$service" server.key "$from/$service.key"
done
for service in openbao nats temporal keycloak api worker bridge install connector; do give 1000 "$service" ca.pem "$from/ca.pem"; done
for name in superuser-password temporal-password keycloak-password; do give 999 postgres "$name" "$from/$name"; done
give 1000 openbao boot-secret-id "$from/boot-secret-id"
give 1000 install install-secrets.json "$from/install-secrets.json"

for folder in openbao nats install cache connector; do install -d -o 1000 -g 1000 -m 700 "$data/$folder"; done
if [ -e "$data/install/install.json" ]; then
  for role in api worker bridge; do give 1000 "$role" credentials.json "$data/install/$role.json"; done
  give 1000 nats operator.conf "$data/install/operator.conf"
else
  echo 'there was no installation yet: run this again after it'
fi
