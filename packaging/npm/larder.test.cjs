'use strict';

// The installed package. `check.sh` runs these tests where it has installed it.

const assert = require('node:assert/strict');
const { execFileSync, spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { createClient } = require('redis');
const larder = require('larder-server');

const PATIENCE = 60_000;

/** What a server answers to a request of memcached's text protocol, up to the end of that answer. */
function ask(port, request, end) {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = net.connect(port, '127.0.0.1', () => socket.write(request));
    socket.setTimeout(PATIENCE, () => socket.destroy(new Error('no answer')));
    socket.on('error', reject);
    // A server that ends closes the connection without an answer; after an answer this has no effect.
    socket.on('close', () => reject(new Error('closed without an answer')));
    socket.on('data', (bytes) => {
      answer += bytes;
      if (!answer.endsWith(end)) return;
      socket.destroy();
      resolve(answer);
    });
  });
}

async function refuses(port) {
  return ask(port, 'mn\r\n', 'MN\r\n').then(() => false, (error) => error.code === 'ECONNREFUSED');
}

async function until(condition) {
  const deadline = Date.now() + PATIENCE;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, 'waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('a value goes from one protocol to the other', async () => {
  const server = await larder.start();
  const client = await createClient({ url: `redis://127.0.0.1:${server.respPort}` }).connect();
  await client.set('greeting', 'hello');
  assert.equal(await ask(server.memcachedPort, 'get greeting\r\n', 'END\r\n'), 'VALUE greeting 0 5\r\nhello\r\nEND\r\n');
  client.destroy();
  const port = server.respPort;
  await server.stop();
  await server.stop();
  assert.ok(await refuses(port));
});

test('several run at the same time', async () => {
  const servers = await Promise.all(Array.from({ length: 5 }, () => larder.start()));
  const ports = servers.flatMap((server) => [server.memcachedPort, server.respPort]);
  assert.equal(new Set(ports).size, 10);
  for (const server of servers) assert.equal(await ask(server.memcachedPort, 'get k\r\n', 'END\r\n'), 'END\r\n');
  await Promise.all(servers.map((server) => server.stop()));
});

test("a start that fails has larder's message", async () => {
  await assert.rejects(larder.start({ args: ['--memory=64 melons'] }), (error) => {
    return error instanceof larder.StartError && /`64 melons` is not a size/.test(error.message);
  });
  const taken = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.on('listening', resolve));
  const address = `127.0.0.1:${taken.address().port}`;
  await assert.rejects(larder.start({ args: ['--resp', address] }), /another process already does/);
  taken.close();
});

test('a program that is missing is named', async () => {
  process.env.LARDER_PROGRAM = '/nowhere/larder';
  try {
    await assert.rejects(larder.start(), (error) => {
      return error instanceof larder.StartError && error.message.includes('/nowhere/larder');
    });
  } finally {
    delete process.env.LARDER_PROGRAM;
  }
  const bin = fs.realpathSync('node_modules/.bin/larder');
  const env = { ...process.env, LARDER_PROGRAM: '/nowhere/larder' };
  const run = spawnSync(process.execPath, [bin, '--version'], { env, encoding: 'utf8' });
  assert.equal(run.status, 1);
  assert.equal(run.stderr, 'larder: spawn /nowhere/larder ENOENT\n');
});

test('one listener alone', async () => {
  const server = await larder.start({ args: ['--resp', 'off'] });
  assert.throws(() => server.respPort, /no listener for resp/);
  assert.equal(await ask(server.memcachedPort, 'mn\r\n', 'MN\r\n'), 'MN\r\n');
  await server.stop();
});

// The address was read up to its first space.
test('an address is whole', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'larder test '));
  const server = await larder.start({ args: ['--unix', path.join(folder, 'socket'), '--admin', '127.0.0.1:0'] });
  assert.equal(server.address('unix'), path.join(folder, 'socket'));
  assert.match(server.address('admin'), /^127\.0\.0\.1:/);
  await server.stop();
  fs.rmSync(folder, { recursive: true });
});

test('a server that was killed can be stopped', async () => {
  const server = await larder.start();
  process.kill(server.pid, 'SIGKILL');
  await server.stop();
});

test('the server ends when its parent is killed, or ends without stopping it', async () => {
  for (const kill of [true, false]) {
    const script = `require('larder-server').start().then((s) => { console.log(s.respPort); ${kill ? 'setInterval(() => {}, 1000)' : ''} })`;
    const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const port = await new Promise((resolve) => parent.stdout.once('data', (line) => resolve(Number(line))));
    if (kill) parent.kill('SIGKILL');
    await until(() => refuses(port));
  }
});

test('the program is installed', () => {
  const bin = fs.realpathSync('node_modules/.bin/larder');
  assert.match(execFileSync(bin, ['--version'], { encoding: 'utf8' }), /^larder \d/);
});
