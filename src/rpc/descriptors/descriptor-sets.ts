import { createHash } from 'node:crypto'
import { DESCRIPTORS_BYTES_MAX } from '../../codec/rpc/index.ts'
import { ALL_DESCRIPTORS_BYTES_MAX, DESCRIPTOR_SETS_MAX } from '../limits.ts'
import { defines, type DescribedFile, readDescriptorSet, renamedFile } from './described-file.ts'

/** Of all versions the same, and known to clients by their names: never told apart. */
const SHARED_FILES = 'google/protobuf/'

/** Files that one or more providers have handed over together. */
export class DescriptorSet {
  readonly key: string
  readonly byteLength: number
  /** How many attached providers of each service have it. */
  readonly services: Map<string, number> = new Map()
  readonly #files = new Map<string, DescribedFile>()
  /** Files by what stands at their top. */
  readonly #defining = new Map<string, DescribedFile>()

  constructor(key: string, byteLength: number, files: readonly DescribedFile[]) {
    this.key = key
    this.byteLength = byteLength
    for (const file of files) {
      this.#files.set(file.name, file)
      for (const symbol of file.symbols.keys()) this.#defining.set(symbol, file)
    }
  }

  get files(): Iterable<DescribedFile> {
    return this.#files.values()
  }

  file(name: string): DescribedFile | null {
    return this.#files.get(name) ?? null
  }

  /** The file that defines a name such as `shop.v1.Orders` or `shop.v1.Order.id`. */
  defining(symbol: string): DescribedFile | null {
    for (let end = symbol.length; end > 0; end = symbol.lastIndexOf('.', end - 1)) {
      const file = this.#defining.get(symbol.slice(0, end))
      if (file !== undefined) return defines(file, symbol) ? file : null
    }
    return null
  }

  /** The file itself, and all that it stands on. */
  closure(file: DescribedFile): DescribedFile[] {
    const found = new Set([file])
    // Grows while it is walked.
    for (const { dependencies } of found) {
      for (const name of dependencies) {
        const dependency = this.#files.get(name)
        if (dependency !== undefined) found.add(dependency)
      }
    }
    return [...found]
  }
}

/**
 * The descriptors that providers of a virtual host hand over, each set once however many instances
 * hand it over. One that is none, or for which there is no room, is not kept: its provider is none
 * the worse, only nobody can look.
 *
 * Two teams may both have a `service.proto`, and clients know files by their names. So a file that
 * differs from one of its name that is kept already is kept as `~KEY/service.proto`, and with it
 * every file of its set that imports it.
 */
export class DescriptorSets {
  readonly #sets = new Map<string, DescriptorSet>()
  readonly #names = new Map<string, { readonly digest: string; users: number }>()
  #byteLength = 0

  /** Those kept last first. */
  get newestFirst(): DescriptorSet[] {
    return [...this.#sets.values()].toReversed()
  }

  hold(bytes: Uint8Array | undefined, services: readonly string[]): DescriptorSet | null {
    if (bytes === undefined || bytes.length === 0 || bytes.length > DESCRIPTORS_BYTES_MAX) {
      return null
    }
    const key = digestOf(bytes)
    const set = this.#sets.get(key) ?? this.#keep(key, bytes)
    if (set === null) return null
    for (const name of new Set(services)) {
      set.services.set(name, (set.services.get(name) ?? 0) + 1)
    }
    return set
  }

  /** Once for each `hold`, with what it gave. */
  release(set: DescriptorSet | null, services: readonly string[]): void {
    if (set === null) return
    for (const name of new Set(services)) {
      const left = set.services.get(name)! - 1
      if (left > 0) set.services.set(name, left)
      else set.services.delete(name)
    }
    if (set.services.size > 0) return
    this.#sets.delete(set.key)
    this.#byteLength -= set.byteLength
    for (const { name } of set.files) {
      const known = this.#names.get(name)
      if (known === undefined) continue
      known.users -= 1
      if (known.users === 0) this.#names.delete(name)
    }
  }

  #keep(key: string, bytes: Uint8Array): DescriptorSet | null {
    if (this.#byteLength + bytes.length > ALL_DESCRIPTORS_BYTES_MAX) return null
    if (this.#sets.size >= DESCRIPTOR_SETS_MAX) return null
    const files = readDescriptorSet(bytes)
    if (files === null) return null
    const kept = this.#named(files, `~${key.slice(0, 12)}/`)
    for (const { name, bytes: content } of kept) {
      if (name.startsWith(SHARED_FILES)) continue
      const known = this.#names.get(name)
      if (known === undefined) this.#names.set(name, { digest: digestOf(content), users: 1 })
      else known.users += 1
    }
    const set = new DescriptorSet(key, bytes.length, kept)
    this.#sets.set(key, set)
    this.#byteLength += set.byteLength
    return set
  }

  #named(files: readonly DescribedFile[], prefix: string): DescribedFile[] {
    const others = new Set<string>()
    const byName = new Map(files.map((file) => [file.name, file]))
    for (const { name, bytes } of files) {
      const known = this.#names.get(name)
      if (known !== undefined && known.digest !== digestOf(bytes)) others.add(name)
    }
    if (others.size === 0) return [...files]
    const importers = new Map<string, string[]>()
    for (const { name, dependencies } of files) {
      if (name.startsWith(SHARED_FILES)) continue
      for (const dependency of dependencies) {
        const known = importers.get(dependency)
        if (known === undefined) importers.set(dependency, [name])
        else known.push(name)
      }
    }
    // Grows while it is walked: whoever imports one that is renamed differs, too.
    for (const name of others) {
      for (const importer of importers.get(name) ?? []) others.add(importer)
    }
    const nameOf = (name: string): string =>
      others.has(name) && byName.has(name) ? `${prefix}${name}` : name
    return files.map((file) =>
      others.has(file.name) ? { ...file, ...renamedFile(file, nameOf) } : file,
    )
  }
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
