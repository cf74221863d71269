#!/usr/bin/env bash
# A Debian without anything but its essential packages, for tests of packages: target/packaging/base.tar. Made once,
# by mmdebstrap, from the package sources of this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
tar=target/packaging/base.tar
[ -f "$tar" ] && exit
mkdir -p target/packaging
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mmdebstrap --quiet --variant=essential "$release" "$tar.part.tar"
mv "$tar.part.tar" "$tar"
