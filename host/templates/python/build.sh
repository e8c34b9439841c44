#!/bin/sh
# Builds app.py into target/{{crate_file}}.wasm. Tools go into target/tools.
set -eu
cd "$(dirname "$0")"
[ -x target/tools/bin/componentize-py ] || {
    python3 -m venv target/tools
    target/tools/bin/pip install --quiet --disable-pip-version-check componentize-py==0.25.0
}
target/tools/bin/componentize-py --wit-path wit --world skill componentize app --output target/{{crate_file}}.wasm
