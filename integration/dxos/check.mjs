// Imports a space archive into the real client, and prints all of its objects as
// a JSON array: node check.mjs ARCHIVE
import { readFile } from 'node:fs/promises';

import { Client } from '@dxos/client';
import { TestBuilder } from '@dxos/client/testing';
import { Filter } from '@dxos/echo';

// The client writes to the console as it likes; stdout is for the answer.
console.log = console.info = console.debug = console.error;

const client = new Client({ services: new TestBuilder().createLocalClientServices() });
await client.initialize();
await client.halo.createIdentity({ displayName: 'checker' });
await client.spaces.waitUntilReady();

const contents = new Uint8Array(await readFile(process.argv[2]));
const space = await client.spaces.import({ filename: 'archive.tar', contents });
await space.waitUntilReady();

// Documents are loaded when somebody asks for their objects, and one after the
// other: the space is complete when all of the ids it names have answered.
const ids = space.db.coreDatabase.getAllObjectIds();
const deadline = Date.now() + 60_000;
let objects = [];
while (objects.length < ids.length && Date.now() < deadline) {
  ({ objects } = await space.db.query(Filter.ids(...ids)).run({ timeout: 20_000 }));
}
const answer = JSON.stringify(objects.map((object) => JSON.parse(JSON.stringify(object))));
process.stdout.write(answer, () => process.exit(objects.length === ids.length ? 0 : 1));
