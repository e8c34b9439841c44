#!/bin/sh
# Builds app.js into target/skills/echo-javascript.wasm. Tools go into target/, nothing else is touched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
tools=$target/examples/javascript
mkdir -p "$tools" "$target/skills"
if ! cmp -s "$here/package.json" "$tools/package.json" || [ ! -x "$tools/node_modules/.bin/jco" ]; then
    cp "$here/package.json" "$tools/package.json"
    (cd "$tools" && npm install --no-audit --no-fund --silent)
fi
cp "$here/app.js" "$tools/app.js"
(cd "$tools" && node_modules/.bin/jco componentize app.js --wit "$root/wit" --world-name skill \
    --backend quickjs --backend-qjs-disable-async -o "$target/skills/echo-javascript.wasm")
echo "$target/skills/echo-javascript.wasm"
