#!/usr/bin/env bash
# Builds two npm packages in target/packaging/npm: larder-server, and the program for this machine's system.
#   build.sh [BINARY]    BINARY: a larder that exists, in place of a release build
set -euo pipefail
cd "$(dirname "$0")/../.."
stage=target/packaging/npm
if [ $# = 0 ]; then
  cargo build --release --locked
fi
binary=${1:-target/release/larder}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
rm -rf "$stage"
mkdir -p "$stage/main" "$stage/program"
cp packaging/npm/{index.js,index.d.ts,bin.js,README.md} LICENSE-MIT LICENSE-APACHE "$stage/main"
strip -o "$stage/program/larder" "$binary"
cp LICENSE-MIT LICENSE-APACHE "$stage/program"
# The systems that the program is published for; a package that a system can't use is left out when npm installs.
node - "$version" packaging/npm/package.json "$stage" <<'END'
const fs = require('node:fs');
const [version, manifest, stage] = process.argv.slice(2);
const main = JSON.parse(fs.readFileSync(manifest, 'utf8'));
const { platform, arch } = process;
const systems = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'];
main.version = version;
main.optionalDependencies = Object.fromEntries(systems.map((s) => [`larder-server-${s}`, version]));
const program = {
  name: `larder-server-${platform}-${arch}`,
  version,
  description: `The program larder for ${platform}-${arch}; install larder-server`,
  license: main.license,
  os: [platform],
  cpu: [arch],
  files: ['larder'],
};
if (platform === 'linux') program.libc = ['glibc'];
fs.writeFileSync(`${stage}/main/package.json`, JSON.stringify(main, null, 2) + '\n');
fs.writeFileSync(`${stage}/program/package.json`, JSON.stringify(program, null, 2) + '\n');
END
for package in main program; do
  npm pack --silent --pack-destination "$stage" "./$stage/$package"
done
