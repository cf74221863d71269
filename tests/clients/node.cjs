// node-redis and ioredis: `node node.cjs HOST:PORT PROTOCOL`. Each check runs with both clients, and is true of one
// Redis, and of a pool or a cluster behind a proxy that makes it look like one: keys that belong together share a {tag}.
// node-redis speaks the PROTOCOL (2 or 3), ioredis only 2.
'use strict';

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const { createClient } = require('redis');
const Redis = require('ioredis');

const [address, protocol] = process.argv.slice(2);
const [host, port] = [address.slice(0, address.lastIndexOf(':')), Number(address.slice(address.lastIndexOf(':') + 1))];

// If the variable TLS_CA names a file of authorities, the clients use TLS.
const ca = process.env.TLS_CA && readFileSync(process.env.TLS_CA);

const KEYS = Array.from({ length: 200 }, (_, n) => `key:${n}`);

/** One client, whatever its library: commands as words, what differs between the libraries as methods. */
const libraries = {
  'node-redis': async () => {
    const client = createClient({ socket: { host, port, connectTimeout: 60000, ...(ca && { tls: true, ca }) }, RESP: Number(protocol) });
    client.on('error', () => {});
    await client.connect();
    return {
      call: (...words) => client.sendCommand(words.map(String)),
      transaction: (commands) => commands.reduce((multi, words) => multi.addCommand(words), client.multi()).exec(),
      subscribe: (channel, listener) => client.subscribe(channel, listener),
      buffer: (key) => client.withTypeMapping({ 36: Buffer }).get(key),
      setBuffer: (key, value) => client.set(key, value),
      close: () => client.close(),
    };
  },
  ioredis: async () => {
    const client = new Redis({ host, port, connectTimeout: 60000, maxRetriesPerRequest: 1, ...(ca && { tls: { ca } }) });
    client.on('error', () => {});
    return {
      call: (...words) => client.call(...words),
      transaction: async (commands) => {
        const multi = client.multi(commands);
        return (await multi.exec()).map(([error, result]) => {
          if (error) throw error;
          return result;
        });
      },
      subscribe: async (channel, listener) => {
        client.on('message', (_, message) => listener(message));
        await client.subscribe(channel);
      },
      buffer: (key) => client.getBuffer(key),
      setBuffer: (key, value) => client.set(key, value),
      close: () => client.disconnect(),
    };
  },
};

const checks = {
  'single keys': async (client) => {
    for (const key of KEYS.slice(0, 50)) {
      assert.equal(await client.call('SET', key, key, 'EX', 100), 'OK');
      assert.equal(await client.call('GET', key), key);
    }
    assert.equal(await client.call('GET', 'missing'), null);
    await client.call('DEL', 'n');
    assert.equal(await client.call('INCRBY', 'n', 41), 41);
    assert.equal(await client.call('INCR', 'n'), 42);
  },
  'many keys in one command': async (client) => {
    assert.equal(await client.call('MSET', ...KEYS.flatMap((key) => [key, key])), 'OK');
    assert.deepEqual(await client.call('MGET', ...KEYS, 'missing'), [...KEYS, null]);
    assert.equal(await client.call('EXISTS', ...KEYS, 'missing'), 200);
    assert.equal(await client.call('DEL', ...KEYS), 200);
  },
  'a thousand commands at once, answered in order': async (client) => {
    const numbers = Array.from({ length: 1000 }, (_, n) => String(n));
    await Promise.all(numbers.map((n) => client.call('SET', `many:${n}`, n)));
    assert.deepEqual(await Promise.all(numbers.map((n) => client.call('GET', `many:${n}`))), numbers);
  },
  'errors are errors, and the connection goes on': async (client) => {
    await client.call('SET', 'text', 'x');
    await assert.rejects(client.call('INCR', 'text'), /not an integer/);
    await assert.rejects(client.call('LPUSH', 'text', 'x'), /WRONGTYPE/);
    await assert.rejects(client.call('NONSENSE', 'text'), /unknown command/);
    assert.equal(await client.call('GET', 'text'), 'x');
  },
  'values of bytes, small and large': async (client) => {
    for (const value of [Buffer.from('a\r\nb\0c'), Buffer.alloc(0), Buffer.alloc(5_000_000, '\r\n')]) {
      await client.setBuffer('bytes', value);
      assert.ok((await client.buffer('bytes')).equals(value));
    }
  },
  'hashes, lists and sets': async (client) => {
    await client.call('DEL', 'h', 'l', 's');
    assert.equal(await client.call('HSET', 'h', 'a', 1, 'b', 2), 2);
    assert.deepEqual(await client.call('HMGET', 'h', 'a', 'x'), ['1', null]);
    assert.equal(await client.call('RPUSH', 'l', 'a', 'b', 'c'), 3);
    assert.deepEqual(await client.call('LRANGE', 'l', 0, -1), ['a', 'b', 'c']);
    assert.equal(await client.call('SADD', 's', 'a', 'b'), 2);
  },
  transactions: async (client) => {
    await client.call('SET', '{t}a', '1');
    const done = await client.transaction([['set', '{t}b', '2'], ['incr', '{t}a'], ['get', '{t}b']]);
    assert.deepEqual(done, ['OK', 2, '2']);
  },
  'a watched key that changes ends the transaction': async (client, other) => {
    await client.call('SET', '{t}a', '1');
    await client.call('WATCH', '{t}a');
    await other.call('SET', '{t}a', 'changed');
    await client.call('MULTI');
    await client.call('SET', '{t}a', 'mine');
    assert.equal(await client.call('EXEC'), null);
    assert.equal(await client.call('GET', '{t}a'), 'changed');
  },
  'a blocked client does not hold up the others': async (client, other) => {
    await client.call('DEL', 'queue');
    const popped = client.call('BLPOP', 'queue', 10);
    assert.equal(await other.call('SET', 'k', 'v'), 'OK');
    await other.call('RPUSH', 'queue', 'job');
    assert.deepEqual(await popped, ['queue', 'job']);
  },
  'messages reach who subscribed': async (client, other) => {
    const heard = new Promise((resolve) => client.subscribe('news', resolve).then(() => other.call('PUBLISH', 'news', 'hello')));
    assert.equal(await heard, 'hello');
  },
};

async function main() {
  let failed = 0;
  for (const [library, connect] of Object.entries(libraries)) {
    for (const [name, check] of Object.entries(checks)) {
      const [client, other] = [await connect(), await connect()];
      const late = new Promise((_, reject) => setTimeout(reject, 60000, new Error('not within 60 s')).unref());
      try {
        await Promise.race([check(client, other), late]);
        console.log(`ok ${library}: ${name}`);
      } catch (error) {
        failed += 1;
        console.log(`FAILED ${library}: ${name}\n${error.stack}`);
      }
      client.close();
      other.close();
    }
  }
  process.exit(failed === 0 ? 0 : 1);
}

main();
