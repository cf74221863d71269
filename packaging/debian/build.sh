#!/usr/bin/env bash
# Builds the Debian package in target/packaging/debian. Needs cargo-deb, dpkg-dev and, without an argument, a release build.
#   build.sh [BINARY]    BINARY: a larder that exists, in place of a release build
set -euo pipefail
cd "$(dirname "$0")/../.."
stage=target/packaging/debian
box=chapters/box

if [ $# = 0 ]; then
  cargo build --release --locked
fi
binary=${1:-target/release/larder}
rm -rf "$stage"
mkdir -p "$stage/units" "$stage/completions"
strip --strip-unneeded --remove-section=.comment -o "$stage/larder" "$binary"

"$stage/larder" man "$stage/man"
gzip -9n "$stage"/man/*.1
for shell in bash zsh fish; do
  "$stage/larder" completions "$shell" >"$stage/completions/larder.$shell"
done

# The units of the book, with the place of packaged programs.
for unit in service socket; do
  sed '1{/^#/d}; s,/usr/local/bin/,/usr/bin/,' "$box/larder.$unit" | sed '/./,$!d' >"$stage/units/larder.$unit"
done
cp packaging/debian/scripts/* "$stage/units/"

# All settings with their defaults, as comments.
{
  echo '# The settings of the service larder. Each is written here with its default. Remove the # to change it.'
  echo '# systemctl reload larder puts some into force at once; the log names those that need a restart.'
  echo '# larder.socket opens the ports 11211 and 6379. Change both places if you change an address, then systemctl restart larder.socket larder.'
  "$stage/larder" config --config /dev/null | sed '1,2d; /^[a-z]/s/^/# /'
} >"$stage/larder.toml"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
maintainer=$(sed -n 's/^maintainer = "\(.*\)"/\1/p' Cargo.toml)
cat >"$stage/changelog" <<END
larder ($version-1) unstable; urgency=medium

  * larder $version. /usr/share/doc/larder/changelog.gz has its changes.

 -- $maintainer  $(date -R -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}")
END
gzip -9nc CHANGELOG.md >"$stage/changelog.gz"

cargo deb --no-build --no-strip --output "$stage/"
ls "$stage"/*.deb
