#!/bin/sh
# Installs into /opt/seatrial what uv is told by the arguments, at the versions and hashes of the lock file.
set -eu
export HOME=/tmp/home
test -d /opt/seatrial || /opt/tools/bin/uv venv -q -p python3 /opt/seatrial
case "$1" in --no-deps) lock= ;; *) lock="--require-hashes -c requirements.lock" ;; esac
/opt/tools/bin/uv pip install -q --no-cache -p /opt/seatrial/bin/python $lock "$@"
# The tests of numerical libraries are nobody's here.
find /opt/seatrial -type d -name tests -path '*/site-packages/*/*' \
  -regex '.*/\(pandas\|numpy\|scipy\|sklearn\|pyarrow\)/.*' -prune -exec rm -rf {} +
