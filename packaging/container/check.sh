#!/usr/bin/env bash
# Builds the container file, starts the image and asks it. Needs root and buildah; no daemon and no registry: the base is
# a Debian made on this machine, and in place of the compiler it has a `cargo` that takes a larder that was built.
#   check.sh BINARY
set -euo pipefail
cd "$(dirname "$0")/../.."
packaging/base.sh
stage=$PWD/target/packaging/container
rm -rf "$stage"
mkdir -p "$stage/base"
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
store() { buildah --root "$stage/storage" --runroot "$stage/run" "$@"; }
container=""
cleanup() {
  if [ -n "$container" ]; then store rm "$container" >/dev/null; fi
  rm -rf "$stage"
}
trap cleanup EXIT

strip -o "$stage/larder" "$1"
printf '#!/bin/sh\nmkdir -p target/release\ncp /usr/local/lib/larder target/release/larder\n' >"$stage/cargo"
chmod +x "$stage/cargo"
base=$(store from scratch)
store add -q "$base" target/packaging/base.tar / >/dev/null
store copy -q "$base" "$stage/cargo" /usr/bin/cargo >/dev/null
store copy -q "$base" "$stage/larder" /usr/local/lib/larder >/dev/null
store commit -q "$base" localhost/builder >/dev/null
store rm "$base" >/dev/null
rm -rf "$stage/larder" "$stage/cargo"

store build -q --pull-never --build-arg BUILDER=localhost/builder --format docker \
  -f packaging/container/Containerfile -t localhost/larder .

fail() {
  echo "failed: $*" >&2
  exit 1
}
store inspect --type image localhost/larder >"$stage/image.json"
container=$(store from --pull-never localhost/larder)
root=$(store mount "$container")
[ ! -e "$root/bin/sh" ] || fail "it has a shell"
find "$root" -type f -printf '%s %P\n'

# In a network of its own, because the ports are the usual ones.
cat >"$stage/run.py" <<'END'
import fcntl, json, os, shutil, socket, struct, subprocess, sys, time

root = sys.argv[1]
with open(sys.argv[2]) as image:
    config = json.load(image)["Docker"]["config"]
assert config["User"] == "65532:65532", "it would run as root"
kind, *health = config["Healthcheck"]["Test"]
assert kind == "CMD", "a health check that needs a shell"
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
fcntl.ioctl(socket.socket(), SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def run(command):
    return subprocess.Popen([shutil.which("chroot"), "--userspec=65532:65532", root, *command], env={})


# Its user may write to the working directory: a volume there keeps the snapshot.
server = run(config["Entrypoint"] + config["Cmd"] + ["--snapshot", config["WorkingDir"] + "/snapshot"])
deadline = time.monotonic() + 60
while run(health).wait() != 0:
    assert server.poll() is None, "it ended"
    assert time.monotonic() < deadline, "it doesn't get healthy"
    time.sleep(0.1)
with socket.create_connection(("127.0.0.1", 6379), 60) as client:
    client.sendall(b"SET greeting hello\r\nGET greeting\r\n")
    answer = b""
    while len(answer) < 16:
        more = client.recv(100)
        assert more, answer
        answer += more
    assert answer == b"+OK\r\n$5\r\nhello\r\n", answer
with open(f"/proc/{server.pid}/status") as status:
    assert "Uid:\t65532\t65532" in status.read(), "another user"
server.terminate()
assert server.wait(60) == 0, "it did not end well"
assert os.path.exists(root + config["WorkingDir"] + "/snapshot"), "no snapshot"
assert run(health).wait() == 1, "a health check of nothing"
END
unshare --net --pid --mount-proc --fork --kill-child python3 "$stage/run.py" "$root" "$stage/image.json"
echo "the container: built, started, asked and ended"
