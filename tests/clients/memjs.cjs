// memjs, which speaks memcached's binary protocol: `node memjs.cjs HOST:PORT`.
'use strict';

const assert = require('node:assert/strict');
const { Client } = require('memjs');

const [address] = process.argv.slice(2);

/** A client on an emptied server. */
async function open() {
  const client = Client.create(address, { timeout: 60, conntimeout: 60, retries: 0, failoverTime: 0, logger: { log() {} } });
  await client.flush();
  return client;
}

const text = ({ value }) => (value === null ? null : value.toString());

const checks = {
  'set and get': async (client) => {
    assert.equal(text(await client.get('key')), null);
    assert.equal(await client.set('key', 'value', { expires: 100 }), true);
    assert.equal(text(await client.get('key')), 'value');
  },
  'add stores only what is missing': async (client) => {
    assert.equal(await client.add('key', 'one', {}), true);
    assert.equal(await client.add('key', 'two', {}), false);
    assert.equal(text(await client.get('key')), 'one');
  },
  'replace stores only what exists': async (client) => {
    assert.equal(await client.replace('key', 'one', {}), false);
    await client.set('key', 'one', {});
    assert.equal(await client.replace('key', 'two', {}), true);
    assert.equal(text(await client.get('key')), 'two');
  },
  // Its prepend sends an append.
  append: async (client) => {
    await assert.rejects(client.append('key', 'x'), /not stored/);
    await client.set('key', 'middle', {});
    assert.equal(await client.append('key', ' end'), true);
    assert.equal(text(await client.get('key')), 'middle end');
  },
  counters: async (client) => {
    assert.deepEqual(await client.increment('n', 5, { initial: 10 }), { success: true, value: 10 });
    assert.deepEqual(await client.increment('n', 5, {}), { success: true, value: 15 });
    assert.deepEqual(await client.decrement('n', 20, {}), { success: true, value: 0 });
    assert.equal(text(await client.get('n')).trim(), '0');
  },
  delete: async (client) => {
    await client.set('key', 'value', {});
    assert.equal(await client.delete('key'), true);
    assert.equal(await client.delete('key'), false);
    assert.equal(text(await client.get('key')), null);
  },
  touch: async (client) => {
    assert.equal(await client.touch('key', 1000), false);
    await client.set('key', 'value', { expires: 1000 });
    assert.equal(await client.touch('key', 1), true);
    const deadline = Date.now() + 60000;
    while (text(await client.get('key')) !== null) assert.ok(Date.now() < deadline, 'it expires');
  },
  'values of any bytes and size': async (client) => {
    for (const length of [0, 1, 256, 32768, 1000000]) {
      const value = Buffer.alloc(length, Buffer.from([0x80, 0, 13, 10, 255]));
      assert.equal(await client.set('key', value, {}), true);
      assert.ok((await client.get('key')).value.equals(value), `${length} bytes`);
    }
  },
  'many requests at a time': async (client) => {
    const keys = Array.from({ length: 200 }, (_, n) => `key:${n}`);
    await Promise.all(keys.map((key) => client.set(key, `value of ${key}`, {})));
    const values = await Promise.all(keys.map((key) => client.get(key)));
    assert.deepEqual(values.map(text), keys.map((key) => `value of ${key}`));
  },
  flush: async (client) => {
    await client.set('key', 'value', {});
    await client.flush();
    assert.equal(text(await client.get('key')), null);
  },
  statistics: async (client) => {
    await client.set('key', 'value', {});
    const statistics = await new Promise((resolve, reject) => {
      client.stats((error, _, found) => (error ? reject(error) : resolve(found)));
    });
    assert.ok(Number(statistics.curr_items) >= 1, JSON.stringify(statistics));
  },
};

(async () => {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    const client = await open();
    try {
      await check(client);
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}\n${error.stack}`);
    }
    client.close();
  }
  process.exit(failed ? 1 : 0);
})();
