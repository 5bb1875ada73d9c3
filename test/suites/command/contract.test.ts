/** `waystation contract emit` and `contract diff`, as somebody types them beside a module of contracts. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import {
  type DescriptorProtoSchema,
  FieldDescriptorProto_Label as LABEL,
  FieldDescriptorProto_Type as TYPE,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt'
import { Validator } from '@seriousme/openapi-schema-validator'
import { diff, emit } from '../../../src/cli/contract.ts'
import { readVersion } from '../../../src/cli/contract-source.ts'
import { diffContracts } from '../../../src/client/contract-tools.ts'
import { CommandFolder, type Outcome } from '../../support/command.ts'

const ROOT = path.join(import.meta.dirname, '../../..')
const CLIENT = pathToFileURL(path.join(ROOT, 'src/client/index.ts')).href
const SHOP = path.join(ROOT, 'examples/shop/typescript/shop_pb.ts')

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

type Message = MessageInitShape<typeof DescriptorProtoSchema>

/** A module with the service `shop.v1.Orders`; each is a file of its own, since Node loads one once. */
function moduleOf(name: string, methods: string): string {
  const imports = [
    `import { rpc, service } from '${CLIENT}'`,
    `import { z } from '${import.meta.resolve('zod')}'`,
  ]
  return folder.write(
    name,
    `${imports.join('\n')}\nexport const Orders = service('shop.v1.Orders', {${methods}})\n`,
  )
}

const PLACE = `place: rpc.unary({
  in: z.object({ sku: z.string(), count: z.int().default(1), note: z.string().optional() }),
  out: z.object({ id: z.string() }),
  errors: { OutOfStock: z.object({ left: z.number() }) },
})`
const FIND = `find: rpc.unary({
  in: z.object({ id: z.string() }),
  out: z.object({ id: z.string(), state: z.enum(['open', 'paid']) }),
  idempotency: 'no-side-effects',
})`

async function contract(...args: readonly string[]): Promise<Outcome> {
  return folder.run(['contract', ...args])
}

async function done(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await contract(...args)
  assert.equal(code, 0, stderr)
  return stdout
}

test('numbers stay what they were, whatever comes and goes', async () => {
  const first = moduleOf('numbers.ts', PLACE)
  assert.match(await done('emit', '--proto', first), /string note = 3;/)
  const lock = path.join(folder.path, 'numbers.lock.json')
  assert.ok(existsSync(lock))
  moduleOf(
    'numbers.ts',
    `place: rpc.unary({
      in: z.object({ tenant: z.string(), count: z.string(), sku: z.string() }),
      out: z.object({ id: z.string() }),
    })`,
  )
  const refused = await contract('emit', '--proto', '--check', first)
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /numbers\.lock\.json does not have all numbers/)
  const said = await contract('emit', '--proto', first)
  const message = said.stdout.slice(said.stdout.indexOf('message OrdersPlaceRequest'))
  assert.equal(
    message.slice(0, message.indexOf('\n}')),
    [
      'message OrdersPlaceRequest {',
      '  reserved 2, 3;',
      '  reserved "note";',
      '  string tenant = 4;',
      '  string count = 5;',
      '  string sku = 1;',
    ].join('\n'),
  )
  assert.match(said.stderr, /served with other numbers: hand .*numbers\.lock\.json to service/)
  await done('emit', '--proto', '--check', first)
})

test('OpenAPI is valid, and JSON Schemas are of all messages', async () => {
  const module = moduleOf(
    'documents.ts',
    `${PLACE},${FIND},
    watch: rpc.serverStream({ in: z.object({}), out: z.object({ more: z.lazy(() => Tree) }) }),
    audit: rpc.oneway({ in: z.string() }),
  })
  const Tree = z.object({ name: z.string(), get children() { return z.array(Tree) } }).meta({ id: 'Tree' })
  void ({`,
  )
  const openapi = JSON.parse(await done('emit', '--openapi', module)) as {
    paths: Record<string, Record<string, unknown>>
    components: { schemas: Record<string, unknown> }
  }
  const { valid, errors } = await new Validator().validate(structuredClone(openapi))
  assert.ok(valid, JSON.stringify(errors))
  assert.deepEqual(Object.keys(openapi.paths['/shop.v1.Orders/find']!), ['post', 'get'])
  assert.equal(Object.keys(openapi.paths).length, 4)
  // Whatever is referred to is there.
  const references = JSON.stringify(openapi).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)
  const names = [...references].map(([, name]) => name!)
  assert.ok(names.length > 6, String(names))
  for (const name of names) assert.ok(name in openapi.components.schemas, name)

  await done('emit', '--jsonschema', '--out', folder.path, module)
  const file = path.join(folder.path, 'documents.schema.json')
  const document = JSON.parse(readFileSync(file, 'utf8')) as { $defs: Record<string, unknown> }
  assert.ok('shop.v1.OrdersPlaceRequest' in document.$defs, Object.keys(document.$defs).join(' '))
  assert.equal(await done('diff', file, module), 'no difference\n')
})

/** As the command compares, without a process for each. */
async function findings(old: string, latest: string): Promise<string[]> {
  const found = diffContracts(await readVersion(old), await readVersion(latest))
  return found.map(
    ({ isBreaking, where, text }) => `${isBreaking ? 'breaks' : 'note'} ${where}: ${text}`,
  )
}

test('what breaks callers is told from what does not', async () => {
  const old = moduleOf('old.ts', `${PLACE},${FIND}`)
  assert.deepEqual(await findings(old, moduleOf('same.ts', `${FIND},${PLACE}`)), [])
  const more = `${PLACE.replace('note:', 'gift: z.boolean().optional(), note:')},
    ${FIND.replace("z.enum(['open', 'paid'])", "z.literal('open')")},
    cancel: rpc.oneway({ in: z.object({ id: z.string() }) })`
  // A new field before another one takes its number where no lock file has the numbers.
  assert.deepEqual(await findings(old, moduleOf('more.ts', more)), [
    'note shop.v1.Orders/place in.gift: is new',
    'note shop.v1.Orders/cancel: is new',
    'breaks shop.v1.OrdersPlaceRequest.note: had the number 3 in protobuf and has 4',
  ])
  const { fieldNumbers } = await readVersion(old)
  folder.write('locked.lock.json', JSON.stringify(fieldNumbers))
  assert.deepEqual(await findings(old, moduleOf('locked.ts', more)), [
    'note shop.v1.Orders/place in.gift: is new',
    'note shop.v1.Orders/cancel: is new',
  ])
  const broken = moduleOf(
    'broken.ts',
    `place: rpc.serverStream({
      in: z.object({ sku: z.string().max(8), count: z.string(), tenant: z.string() }),
      out: z.object({ id: z.string().optional() }),
    }),
    find: rpc.unary({
      in: z.object({ id: z.string() }),
      out: z.object({ id: z.string(), state: z.enum(['open', 'paid', 'sent']) }),
    })`,
  )
  const found = await findings(old, broken)
  assert.deepEqual(
    found.filter((line) => line.startsWith('breaks')),
    [
      'breaks shop.v1.Orders/place: was unary and is serverStream',
      'breaks shop.v1.Orders/place in.sku: maxLength was not set and is 8',
      'breaks shop.v1.Orders/place in.count: must be there now',
      'breaks shop.v1.Orders/place in.count: was integer and is string',
      'breaks shop.v1.Orders/place in.tenant: is new and must be there, and callers do not send it',
      'breaks shop.v1.Orders/place out.id: may be missing now',
      'breaks shop.v1.Orders/find: was no-side-effects and is none, and callers hold that it may be called by GET, or again',
      'breaks shop.v1.Orders/find out.state: "sent" may come, which callers do not know',
      'breaks shop.v1.OrdersPlaceRequest.note: had the number 3 in protobuf, which tenant has now',
    ],
  )
  const { code, stdout } = await contract('diff', old, broken)
  assert.equal(code, 1)
  assert.match(stdout, /^breaking {2}shop\.v1\.Orders\/place: was unary and is serverStream$/m)
  assert.match(stdout, /\n9 breaking, \d+ other\n$/)
  const gone = await contract('diff', '--json', old, SHOP)
  assert.equal(gone.code, 1)
  const listed = JSON.parse(gone.stdout) as { where: string; isBreaking: boolean }[]
  assert.ok(listed.some(({ where, isBreaking }) => isBreaking && where === 'shop.v1.Orders/place'))
})

test('of .proto files it is numbers, names, types and what was reserved that counts', async () => {
  const set = (name: string, messageType: readonly Message[]): string => {
    const file = {
      ...{ name: 'x.proto', package: 'x', syntax: 'proto3', messageType: [...messageType] },
      enumType: [{ name: 'State', value: [{ name: name === 'old' ? 'OPEN' : 'NEW', number: 0 }] }],
      service: [{ name: 'X', method: [{ name: 'M', inputType: '.x.In', outputType: '.x.In' }] }],
    }
    const bytes = toBinary(
      FileDescriptorSetSchema,
      create(FileDescriptorSetSchema, { file: [file] }),
    )
    const path_ = folder.write(`${name}.binpb`, '')
    writeFileSync(path_, bytes)
    return path_
  }
  const field = (name: string, number: number, type: TYPE, rest: object = {}) => ({
    ...{ name, number, type, label: LABEL.OPTIONAL, ...rest },
  })
  const old = set('old', [
    {
      name: 'In',
      field: [
        field('a', 1, TYPE.STRING),
        field('b', 2, TYPE.INT32),
        field('c', 3, TYPE.STRING),
        field('d', 4, TYPE.STRING),
        field('state', 5, TYPE.ENUM, { typeName: '.x.State' }),
      ],
      reservedRange: [{ start: 9, end: 10 }],
    },
  ])
  assert.deepEqual(await findings(old, old), [])
  const latest = set('new', [
    {
      name: 'In',
      field: [
        field('renamed', 1, TYPE.STRING),
        field('b', 2, TYPE.STRING, { label: LABEL.REPEATED }),
        field('state', 5, TYPE.ENUM, { typeName: '.x.State' }),
        field('e', 6, TYPE.STRING),
        field('f', 9, TYPE.STRING),
      ],
      reservedRange: [{ start: 3, end: 4 }],
      reservedName: ['c'],
    },
  ])
  assert.deepEqual(await findings(old, latest), [
    'breaks x.In.a: number 1 is called renamed now, and callers in JSON use names',
    'breaks x.In.b: was int32 and is repeated string',
    'note x.In.c: is gone, and its name and number reserved',
    'breaks x.In.d: is gone, and its name and number 4 are not both reserved',
    'breaks x.State.OPEN: number 0 is called NEW now',
    'note x.In.e: is new',
    'breaks x.In.f: number 9 was reserved',
  ])
})

test('wrong arguments are refused with a word', async () => {
  const module = moduleOf('right.ts', PLACE)
  const empty = folder.write('empty.ts', 'export const nothing = 1\n')
  const [bad, none] = [folder.write('bad.json', '{}'), folder.write('bad.binpb', 'x')]
  const lock = folder.write('lock.json', '{"a":1}')
  for (const [command, text] of [
    [async () => emit(module, {}), /say one of --proto, --openapi and --jsonschema/],
    [async () => emit(module, { proto: true, openapi: true }), /say one of/],
    [async () => emit(empty, { proto: true }), /exports no contract/],
    [async () => emit(module, { proto: true, service: 'a.B' }), /exports no service a\.B/],
    [async () => emit('none.ts', { proto: true }), /none\.ts cannot be loaded/],
    [async () => diff(module, bad, {}), /is not what/],
    [async () => diff(none, module, {}), /no set of descriptors/],
    [async () => emit(module, { proto: true, lock }), /no field numbers/],
  ] as const) {
    await assert.rejects(command, { name: 'CommandError', exitCode: 2, message: text })
  }
})
