/** Takes what exporters send by OTLP over HTTP, as it comes. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

const WAIT_MS = 30_000

export interface OtlpRequest {
  readonly path: string
  readonly contentType: string
  readonly body: string
}

export class OtlpReceiver implements AsyncDisposable {
  readonly requests: OtlpRequest[] = []
  #onRequest: () => void = () => undefined
  readonly #server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const contentType = request.headers['content-type'] ?? ''
      this.requests.push({ path: request.url ?? '', contentType, body: body.toString('utf8') })
      response.setHeader('content-type', 'application/json')
      response.end('{}')
      this.#onRequest()
    })
  })

  /** Resolves with the base of its URL. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Resolves with the first request that is wanted. */
  async until(isWanted: (request: OtlpRequest) => boolean): Promise<OtlpRequest> {
    const timer = setTimeout(() => this.#onRequest(), WAIT_MS)
    const endMs = performance.now() + WAIT_MS
    try {
      for (;;) {
        const found = this.requests.find(isWanted)
        if (found !== undefined) return found
        assert.ok(performance.now() < endMs - 1, `of ${this.requests.length} requests none was it`)
        await new Promise<void>((resolve) => {
          this.#onRequest = resolve
        })
      }
    } finally {
      clearTimeout(timer)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
