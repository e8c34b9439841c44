#!/bin/sh
# Builds app.py into target/skills/echo-python.wasm. Tools go into target/, nothing else is touched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
tools=$target/examples/python
[ -x "$tools/bin/componentize-py" ] || {
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check componentize-py==0.25.0
}
mkdir -p "$target/skills"
"$tools/bin/componentize-py" --wit-path "$root/wit" --world skill componentize --python-path "$here" app \
    --output "$target/skills/echo-python.wasm"
echo "$target/skills/echo-python.wasm"
