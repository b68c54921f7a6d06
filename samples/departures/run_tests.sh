#!/bin/bash
# Runs the sample's unit tests with the system's Python, as the image has it.
# Needs: apt-get install python3-numpy python3-prometheus-client
set -euo pipefail
cd "$(dirname "$0")"
export PYTHONPATH=$PWD:$PWD/../python PYTHONDONTWRITEBYTECODE=1 PROMETHEUS_DISABLE_CREATED_SERIES=True
exec "${PYTHON:-/usr/bin/python3}" -W ignore::ResourceWarning -m unittest discover --buffer -s tests -t . "$@"
