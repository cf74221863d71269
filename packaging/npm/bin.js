#!/usr/bin/env node
'use strict';

// `npx larder`: the program with the arguments of this command.

const { spawn } = require('node:child_process');
const { constants } = require('node:os');
const { program } = require('./index.js');

function fail(error) {
  console.error(`larder: ${error.message}`);
  process.exit(1);
}

function path() {
  try {
    return program();
  } catch (error) {
    return fail(error);
  }
}

const child = spawn(path(), process.argv.slice(2), { stdio: 'inherit' });
// A terminal sends its signals to both processes, and a second one of a kind ends larder without waiting for its clients.
const hasTerminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
const ofTerminal = ['SIGINT', 'SIGQUIT', 'SIGHUP'];
for (const signal of ['SIGTERM', 'SIGUSR1', 'SIGUSR2', ...ofTerminal]) {
  process.on(signal, () => {
    if (!(hasTerminal && ofTerminal.includes(signal))) child.kill(signal);
  });
}
child.on('error', fail);
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
