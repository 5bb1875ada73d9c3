import type { Command } from 'commander'
import type { DiffFlags, EmitFlags } from './contract.ts'

/** Contracts of calls as files for others, and what two versions have otherwise. */
export function addContractCommands(program: Command, exitWith: (code: number) => void): void {
  const group = program
    .command('contract')
    .summary('write contracts of calls for others, and compare two')
    .description('About contracts of calls: the services that a module exports.')
  group
    .command('emit <module>')
    .summary('write a .proto file, OpenAPI or JSON Schema of the contracts in a module')
    .description(
      'Writes the contracts that a module of JavaScript or TypeScript exports in the form that ' +
        'others read: a .proto file, an OpenAPI document or JSON Schemas.',
    )
    .option('--proto', 'a .proto file, whose field numbers are kept in the lock file')
    .option('--openapi', 'OpenAPI 3.1: the calls over HTTP with JSON')
    .option('--jsonschema', 'JSON Schemas and methods, which contract diff reads')
    .option('--service <name>', 'only this one of the services')
    .option('--out <dir>', 'write a file of each service, or one document, into this directory')
    .option('--lock <file>', 'where field numbers are kept (MODULE.lock.json)')
    .option('--check', 'write nothing; fail when the lock file would change')
    .addHelpText('after', EMIT_HELP)
    .action(async (module: string, flags: EmitFlags) => {
      const { emit } = await import('./contract.ts')
      exitWith(await emit(module, flags))
    })
  group
    .command('diff <old> <new>')
    .summary('say what breaks those who hold to the old contract')
    .description(
      'Compares two versions of contracts and says what is different, and what of it breaks those ' +
        'who hold to the old one.',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', DIFF_HELP)
    .action(async (old: string, latest: string, flags: DiffFlags) => {
      const { diff } = await import('./contract.ts')
      exitWith(await diff(old, latest, flags))
    })
}

const EMIT_HELP = `
Commit the lock file beside the module, and hand it to service(NAME, METHODS, { fieldNumbers }), so
that providers hold to the same numbers. A field that goes leaves its number reserved.

Examples:
  waystation contract emit --proto orders.ts > orders.proto
  waystation contract emit --proto --out proto orders.ts
  waystation contract emit --proto --check orders.ts
  waystation contract emit --openapi orders.ts > openapi.json
  waystation contract emit --jsonschema --service shop.v1.Orders orders.ts`

const DIFF_HELP = `
A version is a module, what 'contract emit --jsonschema' has written (.json), or a set of descriptors
as protoc and buf write it (.binpb, .pb, .protoset).

Examples:
  waystation contract diff orders-1.json orders.ts
  waystation contract diff main.binpb branch.binpb

Exit codes: 0 nothing breaks, 1 something does.`
