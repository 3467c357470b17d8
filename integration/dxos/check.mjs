// Imports a space archive into the real client, and prints objects of it as a
// JSON array, as the client sees them: node check.mjs ARCHIVE ID...
import { readFile } from 'node:fs/promises';

import { Client } from '@dxos/client';
import { TestBuilder } from '@dxos/client/testing';
import { Filter } from '@dxos/echo';

// The client writes to the console as it likes; stdout is for the answer.
console.log = console.info = console.debug = console.error;

const [archive, ...ids] = process.argv.slice(2);
const client = new Client({ services: new TestBuilder().createLocalClientServices() });
await client.initialize();
await client.halo.createIdentity({ displayName: 'checker' });
await client.spaces.waitUntilReady();

const contents = new Uint8Array(await readFile(archive));
const space = await client.spaces.import({ filename: 'archive.tar', contents });
await space.waitUntilReady();

// Documents are loaded when somebody asks for their objects, one after the other.
const deadline = Date.now() + 60_000;
let objects = [];
while (objects.length < ids.length && Date.now() < deadline) {
  ({ objects } = await space.db.query(Filter.ids(...ids)).run({ timeout: 20_000 }));
}
process.stdout.write(JSON.stringify(objects), () => process.exit(0));
