// Keyv on its adapter for memcached, which is memjs: `node keyv.cjs HOST:PORT`.
'use strict';

const assert = require('node:assert/strict');
const Keyv = require('keyv').default;
const { KeyvMemcache } = require('@keyv/memcache');

const [address] = process.argv.slice(2);

/** A Keyv on an emptied server. */
async function open(namespace) {
  const store = new KeyvMemcache(address, { timeout: 60, conntimeout: 60, retries: 0 });
  const keyv = new Keyv({ store, namespace });
  keyv.on('error', (error) => { throw error; });
  await keyv.clear();
  return keyv;
}

const checks = {
  'set and get': async (keyv) => {
    assert.equal(await keyv.get('key'), undefined);
    assert.equal(await keyv.set('key', 'value'), true);
    assert.equal(await keyv.get('key'), 'value');
  },
  'values of any type come back': async (keyv) => {
    for (const value of ['text', 42, 1.5, true, null, [1, { a: 'ü' }], { nested: { list: [1, 2] } }]) {
      await keyv.set('key', value);
      assert.deepEqual(await keyv.get('key'), value);
    }
  },
  'a value replaces another': async (keyv) => {
    await keyv.set('key', 'one');
    await keyv.set('key', 'two');
    assert.equal(await keyv.get('key'), 'two');
  },
  delete: async (keyv) => {
    await keyv.set('key', 'value');
    assert.equal(await keyv.delete('key'), true);
    assert.equal(await keyv.get('key'), undefined);
  },
  'many at once': async (keyv) => {
    const keys = Array.from({ length: 100 }, (_, n) => `key:${n}`);
    await Promise.all(keys.map((key, n) => keyv.set(key, n)));
    assert.deepEqual(await keyv.get(keys), keys.map((_, n) => n));
  },
  'an item expires': async (keyv) => {
    await keyv.set('key', 'value', 1000);
    const deadline = Date.now() + 60000;
    while ((await keyv.get('key')) !== undefined) assert.ok(Date.now() < deadline, 'it expires');
  },
  'large values': async (keyv) => {
    const value = 'x'.repeat(500000);
    await keyv.set('key', value);
    assert.equal(await keyv.get('key'), value);
  },
  clear: async (keyv) => {
    await keyv.set('key', 'value');
    await keyv.clear();
    assert.equal(await keyv.get('key'), undefined);
  },
  'keys with colons and at their longest': async (keyv) => {
    for (const key of ['user:1:profile', 'k'.repeat(200), 'k/&?=;,']) {
      await keyv.set(key, key);
      assert.equal(await keyv.get(key), key);
    }
  },
  'namespaces share a server': async () => {
    const [a, b] = [await open('a'), await open('b')];
    await a.set('key', 'from a');
    await b.set('key', 'from b');
    assert.deepEqual([await a.get('key'), await b.get('key')], ['from a', 'from b']);
  },
};

(async () => {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check(await open());
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}\n${error.stack}`);
    }
  }
  process.exit(failed ? 1 : 0);
})();
