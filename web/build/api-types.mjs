// Writes the types of the API's values from our own OpenAPI document:
//   node build/api-types.mjs DOCUMENT           # a file, or the address of a server's api/openapi.json
//   node build/api-types.mjs --check DOCUMENT   # exit 1 if the file that is there is another
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import openapiTS, { astToString } from 'openapi-typescript'

const target = fileURLToPath(new URL('../src/lib/api/schema.d.ts', import.meta.url))
const head = '// Made by `make api-types` from the OpenAPI document of package server. Do not edit.\n\n'

/** The types as text. Only values are of use to the page; calls are in client.ts. */
export async function typesOf(document) {
  const schemas = document.components.schemas
  // "Answers may grow" would make every misspelt field a legal one.
  for (const schema of Object.values(schemas)) if (schema.additionalProperties === true) delete schema.additionalProperties
  const ast = await openapiTS({ openapi: '3.1.0', info: { title: '', version: '' }, paths: {}, components: { schemas } }, { alphabetize: true })
  const text = astToString(ast)
  const from = text.indexOf('export interface components')
  const to = text.indexOf('\n}\n', from) + 3
  return head + text.slice(from, to).replace(/ {4}(responses|parameters|requestBodies|headers|pathItems): never;\n/g, '')
}

export async function isCurrent(document) {
  return (await typesOf(document)) === readFileSync(target, 'utf8')
}

async function main(args) {
  const check = args[0] === '--check'
  const source = args.at(-1)
  if (!source || source === '--check') throw new Error('say which document: a file or an address')
  const text = /^https?:/.test(source) ? await (await fetch(source)).text() : readFileSync(source, 'utf8')
  const document = JSON.parse(text)
  if (!check) writeFileSync(target, await typesOf(document))
  else if (!(await isCurrent(document))) throw new Error('src/lib/api/schema.d.ts is not what the document says: run make api-types')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).catch((err) => {
    console.error('api-types: ' + err.message)
    process.exitCode = 1
  })
}
