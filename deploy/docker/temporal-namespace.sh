#!/bin/sh
# Makes the namespace of all workflows; safe to repeat.
set -eu
temporal=${TEMPORAL:-temporal}
address=${ADDRESS:-temporal:7233}
files=${FILES:-/files}

run() {
  "$temporal" operator namespace "$@" --namespace leasehold --address "$address" --tls-ca-path "$files/ca.pem"
}

run describe > /dev/null 2>&1 || run create --retention 720h
run describe > /dev/null
