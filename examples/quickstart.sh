#!/bin/sh
# Records the session of order flow that the project ships, verifies it, and shows a few of its entries.
# Everything is written into a fresh folder, so that this can be run again and again.
set -eu

project=$(cd "$(dirname "$0")/.." && pwd)
base=$(mktemp -d "${TMPDIR:-/tmp}/tapelog-quickstart.XXXXXX")

tapelog() {
    printf '\n$ tapelog'
    printf ' %s' "$@"
    printf '\n'
    cargo run --quiet --release --manifest-path "$project/Cargo.toml" -p tapelog-cli -- "$@"
}

tapelog record "$project/examples/data/order_flow.ndjson" --base "$base" --run sample
tapelog verify "$base/default/sample"
tapelog cat "$base/default/sample" --limit 3
tapelog cat "$base/default/sample" --key client_order_id=O-20260105-000042 --json
tapelog ls "$base"

printf '\nThe run stays in %s\n' "$base"
