/** An identity provider of the test's own: keys in a file or behind a URL, and tokens. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { noteSecret } from '../../../tools/secret-scan.ts'

export const AUDIENCE = 'waystation'
export const ISSUER = 'https://issuer.example'

export interface TokenOptions {
  readonly name?: string
  readonly scope?: string | readonly string[]
  readonly audience?: string
  readonly issuer?: string
  /** From now; default an hour. */
  readonly lifetimeMs?: number
  readonly claims?: Readonly<Record<string, unknown>>
}

export class TokenIssuer {
  readonly #id: string
  readonly #keys: Awaited<ReturnType<typeof generateKeyPair>>
  readonly #jwk: JWK
  #server: Server | null = null

  private constructor(id: string, keys: Awaited<ReturnType<typeof generateKeyPair>>, jwk: JWK) {
    this.#id = id
    this.#keys = keys
    this.#jwk = jwk
  }

  static async make(id: string): Promise<TokenIssuer> {
    const keys = await generateKeyPair('ES256')
    return new TokenIssuer(id, keys, {
      ...(await exportJWK(keys.publicKey)),
      kid: id,
      alg: 'ES256',
    })
  }

  writeKeys(file: string): void {
    writeFileSync(file, JSON.stringify({ keys: [this.#jwk] }))
  }

  /** The URL of the keys, on this machine. */
  async serve(): Promise<string> {
    const server = createServer((_request, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ keys: [this.#jwk] }))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    this.#server = server
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`
  }

  close(): void {
    this.#server?.closeAllConnections()
    this.#server?.close()
  }

  async token(options: TokenOptions = {}): Promise<string> {
    const { name = 'robot', scope = '', lifetimeMs = 3_600_000, claims = {} } = options
    const token = await new SignJWT({ scope, ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: this.#id })
      .setSubject(name)
      .setIssuer(options.issuer ?? ISSUER)
      .setAudience(options.audience ?? AUDIENCE)
      .setExpirationTime(Math.floor((Date.now() + lifetimeMs) / 1000))
      .sign(this.#keys.privateKey)
    // Its signature is what makes it one.
    noteSecret(token.split('.')[2]!)
    return token
  }
}

/** Everything in virtual host `/`. */
export const EVERYTHING: string = `${AUDIENCE}.configure:*/* ${AUDIENCE}.write:*/* ${AUDIENCE}.read:*/*`
