/** One row of the layer table of docs/architecture.md: what a folder of `src/` may know. */
export interface Layer {
  /**
   * Folders it may import, beside itself. `engine/contract.ts` names one file; `codec/=` means the
   * folder of `codec/` that bears the same name as its own.
   */
  readonly mayImport: readonly string[]
  /** Its folders may not import each other: `codec/a` never `codec/b`. */
  readonly siblingsApart: boolean
  /** Whether npm packages may be used here. The inner layers stand on Node alone. */
  readonly packages: boolean
}

/** Codecs that any protocol may stand on. */
const CARRIERS: readonly string[] = ['codec/http2', 'codec/grpc']

/** The closed list of folders in `src/`. A folder that is not here is refused. */
export const LAYERS: Readonly<Record<string, Layer>> = {
  lib: layer([], { packages: false }),
  model: layer(['lib'], { packages: false }),
  codec: layer(['lib'], { packages: false, siblingsApart: true }),
  storage: layer(['lib'], { packages: false }),
  net: layer(['lib']),
  auth: layer(['lib', 'model']),
  engine: layer(['lib', 'model', 'storage'], { siblingsApart: true }),
  broker: layer(['lib', 'model', 'engine/contract.ts', 'auth'], { packages: false }),
  // HTTP/2 and the messages of gRPC carry more than one protocol.
  protocols: layer(['lib', 'model', 'net', 'auth', 'broker', 'rpc', ...CARRIERS, 'codec/='], {
    siblingsApart: true,
  }),
  rpc: layer(['lib', 'model', 'codec', 'net', 'broker']),
  client: layer(['lib', 'model', 'codec', 'net', 'rpc']),
  admin: layer(['lib', 'model', 'net', 'auth', 'broker', 'rpc']),
  server: layer([
    'lib',
    'model',
    'codec',
    'storage',
    'net',
    'auth',
    'engine',
    'broker',
    'protocols',
    'rpc',
    'admin',
  ]),
  // It measures brokers from outside, and so knows none of ours.
  load: layer([], { packages: false }),
  cli: layer(['client', 'server', 'load', 'lib', 'model']),
  testing: layer(['lib', 'model', 'storage', 'net', 'engine', 'broker', 'server']),
}

function layer(
  mayImport: readonly string[],
  { packages = true, siblingsApart = false }: Partial<Layer> = {},
): Layer {
  return { mayImport, siblingsApart, packages }
}

/** Where clocks, timers and chance may be taken from the world. */
export const WORLDLY_FOLDERS: readonly string[] = [
  'src/lib/',
  'src/load/',
  'src/net/',
  'src/server/',
  'src/testing/',
]

/** Password salts must never come from a seed, so accounts may draw real chance. */
export const CRYPTO_CHANCE_FOLDERS: readonly string[] = [...WORLDLY_FOLDERS, 'src/auth/']

/** The one file in which storage meets the real disk. */
export const STORAGE_DISK_FILE: RegExp = /^src\/storage\/(\w+-)*disk(-\w+)*\.ts$/

/** Modules that are the world: disk, network, time, other processes. */
export const WORLDLY_MODULES: readonly string[] = [
  'child_process',
  'cluster',
  'dgram',
  'dns',
  'dns/promises',
  'fs',
  'fs/promises',
  'http',
  'http2',
  'https',
  'net',
  'perf_hooks',
  'readline',
  'timers',
  'timers/promises',
  'tls',
]

/** Returns why a file of layer `source` may not import `target`, both as paths; null if it may. */
export function layerFault(source: string, target: string): string | null {
  if (!target.startsWith('src/')) return `src/ may not import ${target}`
  const [, sourceLayer = '', sourceFolder = ''] = source.split('/')
  const [, targetLayer = '', targetFolder = ''] = target.split('/')
  const row = LAYERS[sourceLayer]
  if (row === undefined) return `src/${sourceLayer} is not in the layer table`
  if (sourceLayer === targetLayer) {
    // A file straight in the layer's folder, such as a contract, is for all of its folders; but
    // it must not know them, or who imports it would know them too.
    const apart =
      row.siblingsApart && sourceFolder !== targetFolder && !targetFolder.endsWith('.ts')
    return apart
      ? `${sourceLayer}/${sourceFolder} may not import ${sourceLayer}/${targetFolder}`
      : null
  }
  const allowed = row.mayImport.some((entry) => {
    if (entry.endsWith('/='))
      return `${targetLayer}/${targetFolder}` === `${entry.slice(0, -1)}${sourceFolder}`
    const path = `src/${entry}`
    return target === path || target.startsWith(`${path}/`) || target === `${path}.ts`
  })
  return allowed ? null : `${sourceLayer} may not import ${target.slice(4)}`
}
