import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { BrokerProcess } from '../support/broker-process.ts'

/** What an administrator would look at while the broker is under attack. */
export class BrokerWatch {
  readonly #broker: BrokerProcess
  readonly #url: string
  readonly #token: string

  constructor(broker: BrokerProcess) {
    this.#broker = broker
    const file = path.join(broker.dataDir, 'admin.json')
    const endpoint = JSON.parse(readFileSync(file, 'utf8')) as { url: string; token: string }
    this.#url = endpoint.url
    this.#token = endpoint.token
  }

  /** Resident memory of the process, in bytes. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.#broker.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1024
  }

  /** Fails when the process is gone or has logged a fault of its own. */
  checkHealth(): void {
    const { pid, output } = this.#broker
    try {
      process.kill(pid!, 0)
    } catch (cause) {
      throw new Error(`the broker is gone:\n${output}`, { cause })
    }
    const faults = output.split('\n').filter((line) => /"level":"(error|fatal)"/.test(line))
    if (faults.length > 0) throw new Error(`the broker logged faults of its own:\n${faults[0]}`)
    if (/^\s+at .*\(?file:/m.test(output)) throw new Error(`the broker printed a stack:\n${output}`)
  }

  async connectionCount(): Promise<number> {
    return (await this.#list('connections')).length
  }

  async queueNames(): Promise<string[]> {
    return (await this.#list('destinations')).map(({ name }) => name)
  }

  /** Resolves once only `count` connections are left; fails with what is there instead. */
  async untilConnections(count: number, withinMs: number): Promise<void> {
    const deadlineMs = performance.now() + withinMs
    for (;;) {
      const connections = await this.#list('connections')
      if (connections.length === count) return
      if (performance.now() > deadlineMs) {
        const seen = JSON.stringify(connections, null, 1)
        throw new Error(`${connections.length} connections are left, expected ${count}: ${seen}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async #list(what: string): Promise<{ readonly name: string }[]> {
    const response = await fetch(`${this.#url}/v1/${what}`, {
      headers: { authorization: `Bearer ${this.#token}` },
    })
    const json = (await response.json()) as unknown
    if (!response.ok) throw new Error(`listing ${what}: ${response.status} ${JSON.stringify(json)}`)
    return json as { readonly name: string }[]
  }
}
