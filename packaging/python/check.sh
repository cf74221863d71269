#!/usr/bin/env bash
# Builds the wheel, installs it in a fresh environment, and tests it there with pymemcache and redis-py.
#   check.sh [PROFILE]    PROFILE: Cargo's, such as dev; release otherwise
# PYTHON names another Python than python3.
set -euo pipefail
cd "$(dirname "$0")"
stage=$PWD/../../target/packaging/python
rm -rf "$stage"
mkdir -p "$stage"
"${PYTHON:-python3}" -m venv "$stage/venv"
pip="$stage/venv/bin/pip --disable-pip-version-check -q"
$pip install maturin==1.16.0
"$stage/venv/bin/maturin" build -q --locked --profile "${1:-release}" --out "$stage"
"${PYTHON:-python3}" -m venv --clear "$stage/venv"
$pip install "$stage"/*.whl
# Without anything else: the module has no dependencies.
"$stage/venv/bin/python3" -c 'import larder_server
with larder_server.Server() as server: print(server)'
$pip install pytest==8.4.2 mypy==1.18.2 pymemcache==4.0.0 redis
"$stage/venv/bin/mypy" --strict --cache-dir "$stage/mypy" larder_server
python3 -c 'import ast, pathlib
for file in pathlib.Path("larder_server").glob("*.py"): ast.parse(file.read_text(), feature_version=(3, 9))'
# In another folder, so that the tests import what is installed.
cp test_larder.py "$stage"
cd "$stage"
venv/bin/python3 -m pytest -q -p no:cacheprovider test_larder.py
