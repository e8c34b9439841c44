#!/bin/sh
# Builds app.js into target/{{crate_file}}.wasm.
set -eu
cd "$(dirname "$0")"
[ -x node_modules/.bin/jco ] || npm install --no-audit --no-fund --silent
mkdir -p target
# Without async the component needs WASI 0.2 only; WASI 0.3 is refused by the host.
node_modules/.bin/jco componentize app.js --wit wit --world-name skill \
    --backend quickjs --backend-qjs-disable-async -o target/{{crate_file}}.wasm
