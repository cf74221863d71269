'use strict';

// The process of a server: its start, its ports, its end.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');

/** larder didn't start. The message is larder's own. */
class StartError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = 'StartError';
  }
}

/** The path of the program: LARDER_PROGRAM in the environment, or that of the package for this system. */
function program() {
  if (process.env.LARDER_PROGRAM) return process.env.LARDER_PROGRAM;
  const name = `larder-server-${process.platform}-${process.arch}`;
  try {
    return path.join(path.dirname(require.resolve(`${name}/package.json`)), 'larder');
  } catch (error) {
    throw new StartError(
      `the package ${name} was not found; install it, or set LARDER_PROGRAM to the path of larder`,
      { cause: error },
    );
  }
}

/** A larder that runs. It ends with `stop`, and also if this process ends or is killed. */
class Server {
  #child;
  #ended;
  #addresses;
  #timeout;
  #log;

  constructor(child, ended, addresses, timeout, log) {
    this.#child = child;
    this.#ended = ended;
    this.#addresses = addresses;
    this.#timeout = timeout;
    this.#log = log;
  }

  get pid() {
    return this.#child.pid;
  }

  get memcachedPort() {
    return port(this.address('memcached'));
  }

  get respPort() {
    return port(this.address('resp'));
  }

  address(protocol) {
    const address = this.#addresses.get(protocol);
    if (address === undefined) throw new Error(`there is no listener for ${protocol}`);
    return address;
  }

  log() {
    return this.#log();
  }

  async stop() {
    // Its end is the order to end; the signal is for one that doesn't read it.
    this.#child.ref();
    this.#child.stdin.end();
    this.#child.kill('SIGTERM');
    await within(this.#ended, this.#timeout, () => this.#child.kill('SIGKILL'));
  }

  async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    await this.stop();
  }
}

function port(address) {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

/** The result of a promise. After a time `late` is called, and the promise is waited for all the same. */
async function within(promise, milliseconds, late) {
  const timer = setTimeout(late, milliseconds);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** The number of listeners of memcached and RESP that are not turned off. */
function listeners(args) {
  const words = args.flatMap((argument) => argument.split('='));
  const off = words.filter((word, n) => /^--(memcached|resp)$/.test(word) && words[n + 1] === 'off');
  return Math.max(1, 2 - off.length);
}

/** Starts a larder on free ports of this machine, and waits until it listens. */
async function start(options = {}) {
  const { args = [], config = os.devNull, env = process.env, timeout = 60_000 } = options;
  const command = program();
  const given = (option) => args.some((word) => word === option || word.startsWith(`${option}=`));
  const free = ['--memcached', '--resp'].filter((option) => !given(option));
  const all = ['serve', '--config', config, '--until-stdin-ends'];
  all.push(...free.flatMap((option) => [option, '127.0.0.1:0']), ...args);
  // A file takes the log, so that a server that logs much never waits for a reader.
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'larder-'));
  const file = fs.openSync(path.join(folder, 'log'), 'w+');
  fs.rmSync(folder, { recursive: true });
  let open = true;
  const log = () => (open ? text(file) : '');
  // A group of its own: a Ctrl-C in the terminal is for the tests, which end the server then.
  const child = spawn(command, all, { stdio: ['pipe', 'pipe', file], env, detached: true });
  // A server that has ended takes no more: that is no error of the tests.
  child.stdin.on('error', () => {});
  let problem;
  const ended = new Promise((resolve) => {
    child.once('error', (error) => {
      problem = error;
      resolve();
    });
    child.once('close', resolve);
  });
  const closed = ended.then(() => {
    problem ??= new Error(log().trim() || 'it printed nothing');
    open = false;
    fs.closeSync(file);
  });
  const addresses = new Map();
  const expected = listeners(args);
  const ready = new Promise((resolve) => {
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
      const [, protocol, address] = line.match(/^listening on (\S+) (.+)$/) ?? [];
      if (protocol) addresses.set(protocol, address);
      if (addresses.size >= expected) resolve();
    });
  });
  let late = '';
  await within(Promise.race([ready, closed]), timeout, () => {
    late = `it did not listen within ${timeout} ms: `;
    child.kill('SIGKILL');
  });
  if (late || addresses.size < expected) {
    child.stdin.destroy();
    await closed;
    throw new StartError(late + problem.message, { cause: problem });
  }
  // Tests that forget to stop it may end all the same; then it ends, too.
  child.unref();
  child.stdin.unref?.();
  child.stdout.unref?.();
  return new Server(child, closed, addresses, timeout, log);
}

function text(file) {
  const bytes = Buffer.alloc(fs.fstatSync(file).size);
  return bytes.toString('utf8', 0, fs.readSync(file, bytes, 0, bytes.length, 0));
}

exports.start = start;
exports.program = program;
exports.Server = Server;
exports.StartError = StartError;
