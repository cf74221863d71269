#!/usr/bin/env bash
# Builds the npm packages, installs them in a fresh folder, and tests them there.
#   check.sh BINARY    a larder that was built, also a debug build
set -euo pipefail
cd "$(dirname "$0")/../.."
packaging/npm/build.sh "$1"
stage=target/packaging/npm/check
mkdir -p "$stage"
cp packaging/npm/larder.test.cjs "$stage"
cd "$stage"
echo '{ "private": true }' >package.json
npm install --silent --no-audit --no-fund ../larder-server-*.tgz redis@5.12.1 typescript@5.9.3
node --test larder.test.cjs
# The oldest Node.js that the package is for, if npm has it for this machine.
if npm install --silent --no-audit --no-fund --prefix oldest node@18.20.8 2>/dev/null && oldest=$(oldest/node_modules/.bin/node --version); then
  echo "with Node.js $oldest"
  "oldest/node_modules/.bin/node" --test larder.test.cjs
else
  echo "left out: the tests with Node.js 18, which npm does not have for this machine"
fi
cat >types.mts <<'END'
import * as larder from 'larder-server';
const server: larder.Server = await larder.start({ args: ['--memory', '8MiB'], timeout: 1000 });
const port: number = server.respPort + server.memcachedPort;
await server.stop();
export { port };
END
npx --no-install tsc --strict --noEmit --target es2022 --module nodenext --moduleResolution nodenext types.mts
