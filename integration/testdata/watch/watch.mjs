// watch.mjs LIBRARY: watches the current directory as editors do, and prints
// "ready", then a line for each event: what happened, and the path.
//
//   parcel    the recursive watcher of VS Code
//   node      fs.watch of one directory, its watcher of single folders and files
//   chokidar  what the servers of JavaScript projects reload by
import fs from 'node:fs';
import path from 'node:path';

const say = (event, file) => console.log(event, path.relative(process.cwd(), path.resolve(file)));
const ready = () => console.log('ready');

switch (process.argv[2]) {
  case 'parcel': {
    const { default: watcher } = await import('@parcel/watcher');
    await watcher.subscribe(process.cwd(), (err, events) => {
      if (err) throw err;
      for (const e of events) say(e.type, e.path);
    });
    ready();
    setInterval(() => {}, 1 << 30); // its thread does not keep the process
    break;
  }
  case 'node':
    fs.watch('.', (event, name) => say(event, name));
    ready();
    break;
  case 'chokidar': {
    const { default: chokidar } = await import('chokidar');
    chokidar.watch('.', { ignoreInitial: true }).on('all', say).on('ready', ready);
    break;
  }
  default:
    throw new Error(`no such library: ${process.argv[2]}`);
}
