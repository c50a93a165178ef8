#!/bin/sh
# Makes the AppRole with which the installation administers OpenBao; needs BAO_TOKEN. Its secret ends after an hour, and the
# role is deleted when the installation is through (docs/docker.md).
set -eu
files=${FILES:-/files}
bao=${BAO:-bao}

"$bao" auth list -format=json | grep -q '"approle/"' || "$bao" auth enable approle
"$bao" policy write boot - <<'POLICY'
path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
POLICY
"$bao" write auth/approle/role/boot token_policies=boot token_ttl=10m secret_id_ttl=1h
"$bao" write auth/approle/role/boot/role-id role_id=boot
"$bao" write auth/approle/role/boot/custom-secret-id "secret_id=@$files/boot-secret-id" > /dev/null
