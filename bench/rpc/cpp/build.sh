#!/bin/sh
# Builds the C++ peer of `npm run bench -- rpc` into FILE: build.sh FILE.
# Needs g++ and Debian's libgrpc++-dev: apt-get install g++ pkg-config libgrpc++-dev
set -eu
here=$(cd "$(dirname "$0")" && pwd)
pkg-config --exists grpc++ || { echo "no libgrpc++-dev (apt-get install g++ pkg-config libgrpc++-dev)" >&2; exit 1; }
# shellcheck disable=SC2046 # a list of flags
g++ -O2 -std=c++17 -o "$1" "$here/echo.cc" $(pkg-config --cflags --libs grpc++)
