#!/usr/bin/env node
'use strict';

// `npx larder`: the program with the arguments of this command.

const { spawn } = require('node:child_process');
const { constants } = require('node:os');
const { program } = require('./index.js');

const child = spawn(program(), process.argv.slice(2), { stdio: 'inherit' });
for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']) {
  process.on(signal, () => child.kill(signal));
}
child.on('error', (error) => {
  console.error(`larder: ${error.message}`);
  process.exit(1);
});
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
