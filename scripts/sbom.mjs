// Adds the packages of a package-lock.json to a CycloneDX list of Go modules: sbom.mjs MODULES LOCK SECONDS.
import { readFileSync } from 'node:fs';

// What the built page is made of: deploy/licences has the same. What these depend on at run time comes with them.
const shipped = ['svelte', 'uplot', '@tanstack/virtual-core', '@lucide/svelte', 'tailwindcss'];

const [modules, lockFile, seconds] = process.argv.slice(2);
const sbom = JSON.parse(readFileSync(modules, 'utf8'));
const packages = JSON.parse(readFileSync(lockFile, 'utf8')).packages;

const inPage = new Set();
function ship(name) {
	const path = `node_modules/${name}`;
	if (inPage.has(path) || !packages[path]) return;
	inPage.add(path);
	Object.keys(packages[path].dependencies ?? {}).forEach(ship);
}
shipped.forEach(ship);

const added = [];
for (const [path, it] of Object.entries(packages)) {
	if (path === '' || it.link) continue;
	const name = it.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
	const purl = `pkg:npm/${name.replace('@', '%40')}@${it.version}`;
	const component = { 'bom-ref': `${purl}#${path}`, type: 'library', name, version: it.version, scope: inPage.has(path) ? 'required' : 'excluded', purl };
	const [algorithm, sum] = (it.integrity ?? '').split(/-(.*)/s);
	if (algorithm === 'sha512') component.hashes = [{ alg: 'SHA-512', content: Buffer.from(sum, 'base64').toString('hex') }];
	if (it.license) component.licenses = [/\s/.test(it.license) ? { expression: it.license } : { license: { id: it.license } }];
	added.push(component);
}
added.sort((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1));

// Their licences are in no module cache.
const known = { 'stint.dev/stint': 'Apache-2.0', std: 'BSD-3-Clause' };
for (const component of [sbom.metadata.component, ...sbom.components]) {
	if (known[component.name]) component.licenses = [{ license: { id: known[component.name] } }];
}

sbom.metadata.timestamp = new Date(seconds * 1000).toISOString();
sbom.components = [...(sbom.components ?? []), ...added];
const main = sbom.metadata.component?.['bom-ref'];
sbom.dependencies = (sbom.dependencies ?? []).map((of) =>
	of.ref === main
		? { ...of, dependsOn: [...(of.dependsOn ?? []), ...added.filter((c) => c.scope === 'required').map((c) => c['bom-ref'])].sort() }
		: of
);
process.stdout.write(JSON.stringify(sbom, null, 2) + '\n');
