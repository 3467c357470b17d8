#!/bin/bash
# install.sh DIR: installs the TypeScript client, as package-lock.json says, to
# run under Node without a browser. It is done once for each lock file.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: install.sh DIR}
mkdir -p "$dir"
exec 9>"$dir/.lock"
flock 9

stamp=$(cat "$here/package-lock.json" "$here/install.sh" | sha256sum | cut -c 1-64)
if [ "$(cat "$dir/.installed" 2>/dev/null)" != "$stamp" ]; then
	rm -rf "$dir/node_modules" "$dir/.installed"
	cp "$here/package.json" "$here/package-lock.json" "$dir/"
	# Not "npm ci": it wants the packages of other platforms in the lock file too.
	# Scripts of packages are not run: one of them fetches a binary for images,
	# for which there is no use here. The one that is needed is run by name.
	(cd "$dir" && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error)
	(cd "$dir" && npm rebuild --loglevel=error fs-ext)
	node - "$dir/node_modules" <<'EOJ'
const fs = require('node:fs'), path = require('node:path');
const modules = process.argv[2];

// The image library is loaded by a package for language models, and never used.
const sharp = path.join(modules, 'sharp');
if (fs.existsSync(sharp)) {
  fs.rmSync(sharp, { recursive: true });
  fs.mkdirSync(sharp);
  fs.writeFileSync(path.join(sharp, 'package.json'), '{"name":"sharp","version":"0.32.0","main":"index.js"}');
  fs.writeFileSync(path.join(sharp, 'index.js'), "module.exports = () => { throw new Error('images are not part of this test'); };");
}

// The tar library is CommonJS: under Node its names are below "default".
const services = path.join(modules, '@dxos/client-services/dist/lib/node-esm');
const loading = 'await import("@obsidize/tar-browserify")';
let found = 0;
for (const name of fs.readdirSync(services, { recursive: true })) {
  const file = path.join(services, name);
  if (!name.endsWith('.mjs')) continue;
  const text = fs.readFileSync(file, 'utf8');
  if (!text.includes(loading)) continue;
  found++;
  fs.writeFileSync(file, text.replaceAll(loading, `${loading}.then((m) => (m.Archive ? m : m.default))`));
}
if (found === 0) throw new Error('no module loads the tar library: is this another version of the client?');
EOJ
	echo "$stamp" >"$dir/.installed"
fi
cp "$here/check.mjs" "$dir/"
