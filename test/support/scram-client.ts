import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'

/** The client's half of SCRAM (RFC 5802), written from the other side of the RFC. */
export class ScramClient {
  readonly #hash: 'sha256' | 'sha512'
  readonly #password: string
  readonly #bare: string
  readonly #header: string
  #serverSignature = ''

  constructor(
    mechanism: string,
    options: { username: string; password: string; nonce?: string; header?: string },
  ) {
    this.#hash = mechanism === 'SCRAM-SHA-512' ? 'sha512' : 'sha256'
    this.#password = options.password
    const name = options.username.replaceAll('=', '=3D').replaceAll(',', '=2C')
    const nonce = options.nonce ?? randomBytes(18).toString('base64')
    this.#bare = `n=${name},r=${nonce}`
    this.#header = options.header ?? 'n,,'
  }

  first(): Buffer {
    return Buffer.from(this.#header + this.#bare)
  }

  final(challenge: Uint8Array): Buffer {
    const serverFirst = Buffer.from(challenge).toString()
    const fields = new Map(serverFirst.split(',').map((part) => [part[0], part.slice(2)]))
    const salt = Buffer.from(fields.get('s') ?? '', 'base64')
    const bytes = this.#hash === 'sha256' ? 32 : 64
    const iterations = Number(fields.get('i'))
    const salted = pbkdf2Sync(this.#password, salt, iterations, bytes, this.#hash)
    const clientKey = this.#hmac(salted, 'Client Key')
    const storedKey = createHash(this.#hash).update(clientKey).digest()
    const binding = Buffer.from(this.#header).toString('base64')
    const withoutProof = `c=${binding},r=${fields.get('r')}`
    const transcript = `${this.#bare},${serverFirst},${withoutProof}`
    const signature = this.#hmac(storedKey, transcript)
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!))
    const serverKey = this.#hmac(salted, 'Server Key')
    this.#serverSignature = this.#hmac(serverKey, transcript).toString('base64')
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`)
  }

  /** Whether the server has shown that it knows the password as well. */
  trusts(serverFinal: Uint8Array): boolean {
    return Buffer.from(serverFinal).toString() === `v=${this.#serverSignature}`
  }

  #hmac(key: Buffer, text: string): Buffer {
    return createHmac(this.#hash, key).update(text).digest()
  }
}
