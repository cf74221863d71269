#!/usr/bin/env bash
# Installs the Debian package in a Debian of its own, uses it, upgrades it and removes it. Nothing of this machine changes.
# Needs root, mmdebstrap, lintian, systemd (for systemd-analyze) and util-linux.
#   check.sh BINARY    a larder that was built, also a debug build
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${INSIDE:-}" = "" ]; then
  packaging/base.sh
  packaging/debian/build.sh "$1"
  root=$(mktemp -d)
  export root
  trap 'rm -rf "$root"' EXIT
  tar -xf target/packaging/base.tar -C "$root"
  # A network and mounts of its own: the packaged ports are free there. Processes end with this script.
  INSIDE=yes unshare --net --mount --pid --fork --kill-child "$0" "$1"
  exit
fi

fail() {
  echo "failed: $*" >&2
  exit 1
}
inside() { chroot "$root" "$@"; }
# All files but those in which dpkg, apt and systemd note what was installed.
files() {
  find "$root" -xdev -not -path "$root/proc/*" -not -path "$root/var/lib/dpkg/*" -not -path "$root/var/log/*" \
    -not -path "$root/var/cache/*" -not -path "$root/var/lib/systemd/*" -not -path "$root/var/lib/apt/*" -not -path "$root/tmp/*" |
    sort
}
python3 - <<'END'
import fcntl, socket, struct
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
fcntl.ioctl(socket.socket(), SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
END
mount -t proc proc "$root/proc"
deb=$(ls target/packaging/debian/larder_*.deb)
cp "$deb" "$root/tmp/larder.deb"

echo "lintian"
lintian --allow-root --fail-on error,warning "$deb"

echo "install"
files >"$root/tmp/before"
inside dpkg -i /tmp/larder.deb
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
[ "$(inside larder --version)" = "larder $version" ] || fail "the version"
[ -L "$root/etc/systemd/system/multi-user.target.wants/larder.service" ] || fail "the service is not enabled"
[ -L "$root/etc/systemd/system/sockets.target.wants/larder.socket" ] || fail "the socket is not enabled"
# The units of the system that ours name are not in this small Debian.
mkdir -p "$root/tmp/units"
cp "$root"/usr/lib/systemd/system/larder.* "$root/tmp/units"
sed -i "s,=/usr/bin/larder,=$root/usr/bin/larder," "$root/tmp/units/larder.service"
systemd-analyze verify --man=no "$root"/tmp/units/larder.service "$root"/tmp/units/larder.socket 2>&1 | tee "$root/tmp/verify"
grep -q larder "$root/tmp/verify" && fail "systemd-analyze has complaints"
# From 0, sealed off, to 100. Older versions of systemd can't look at a file.
if [[ "$(systemd-analyze --help)" == *--threshold* ]]; then
  systemd-analyze security --offline=yes --threshold=40 "$root/tmp/units/larder.service" >"$root/tmp/security" ||
    fail "the unit is too open: $(tail -n 1 "$root/tmp/security")"
else
  echo "left out: the exposure of the unit, which this systemd-analyze can't judge"
fi

echo "serve with the packaged settings"
serve() {
  chroot --userspec=nobody "$root" larder --config /etc/larder/larder.toml >"$root/tmp/out" 2>"$root/tmp/log" &
  server=$!
  for _ in $(seq 600); do
    [ "$(grep -c listening "$root/tmp/out")" = 2 ] && return
    kill -0 "$server" 2>/dev/null || fail "it ended: $(cat "$root/tmp/log")"
    sleep 0.1
  done
  fail "it doesn't listen"
}
serve
echo hello | inside larder set greeting
[ "$(inside larder get greeting --resp)" = hello ] || fail "the value"

echo "upgrade: changed settings stay"
echo '# changed' >>"$root/etc/larder/larder.toml"
inside dpkg -i /tmp/larder.deb
[ "$(tail -n 1 "$root/etc/larder/larder.toml")" = '# changed' ] || fail "the settings were replaced"
kill "$server"
wait "$server" || fail "it did not end well: $(cat "$root/tmp/log")"

echo "remove, then purge"
inside dpkg --remove larder
[ ! -e "$root/usr/bin/larder" ] || fail "the program is still there"
[ -e "$root/etc/larder/larder.toml" ] || fail "the settings are gone before the purge"
inside dpkg --purge larder
files >"$root/tmp/after"
diff "$root/tmp/before" "$root/tmp/after" || fail "files were left behind"
echo "the Debian package: installed, used, upgraded and removed"
