import type { HeaderMap } from '../model/header-value.ts'
import { SCRAM_MESSAGE_BYTES_MAX } from './limits.ts'
import type { SaslMechanism, SaslStep } from './sasl.ts'
import {
  provesScram,
  type ScramName,
  scramServerSignature,
  type ScramVerifier,
} from './scram-verifier.ts'

/** What is known of one user for one mechanism. */
export interface ScramSecret {
  /** Of a user who cannot log in: one that looks like any other and that nothing answers. */
  readonly verifier: ScramVerifier
  /** Why nobody can log in as this user, for the log; null: by the right proof. */
  readonly reasonAgainst: string | null
}

/** Where the secrets of users are. */
export interface ScramSecrets {
  /** Knows something to say of every name, of those that nobody has too. */
  scramSecret(mechanism: ScramName, username: string): ScramSecret
  /** Whether it is still what the user would be asked for: no password was set meanwhile. */
  isScramSecretOf(username: string, secret: ScramSecret): boolean
}

/** What the client said first and what it was answered. */
interface Challenge {
  readonly username: string
  readonly secret: ScramSecret
  readonly gs2Header: string
  readonly nonce: string
  /** `client-first-message-bare` and `server-first-message`, with the comma after each. */
  readonly transcript: string
}

/**
 * The server's half of SCRAM (RFC 5802), without channel binding:
 *
 *     client  n,,n=user,r=CLIENT
 *     server  r=CLIENTSERVER,s=SALT,i=ITERATIONS
 *     client  c=biws,r=CLIENTSERVER,p=PROOF
 *     server  v=SIGNATURE
 *
 * Unknown users are asked like any other, and fail at the end.
 */
export class Scram implements SaslMechanism {
  readonly name: ScramName
  readonly #secrets: ScramSecrets
  readonly #serverNonce: string
  #challenge: Challenge | null = null
  #asked = false
  #isOver = false

  constructor(name: ScramName, secrets: ScramSecrets, serverNonce: string) {
    this.name = name
    this.#secrets = secrets
    this.#serverNonce = serverNonce
  }

  respond(response: Uint8Array | HeaderMap): SaslStep {
    if (this.#isOver) return malformed('the exchange is over')
    const text = messageOf(response)
    const step = text === null ? malformed(NO_MESSAGE) : this.#next(text)
    this.#isOver = step.kind !== 'challenge'
    return step
  }

  #next(text: string): SaslStep {
    // A protocol without an initial response starts with an empty one, and is asked.
    if (text === '' && !this.#asked && this.#challenge === null) {
      this.#asked = true
      return { kind: 'challenge', data: NO_BYTES }
    }
    return this.#challenge === null ? this.#first(text) : this.#final(text, this.#challenge)
  }

  /**
   *     client-first-message = gs2-cbind-flag "," [ "a=" saslname ] "," client-first-message-bare
   *     client-first-message-bare = [ "m=" value "," ] "n=" saslname "," "r=" c-nonce [ "," extensions ]
   */
  #first(text: string): SaslStep {
    const parts = /^(([^,]*),(?:a=([^,]*))?,)((m=[^,]*,)?n=([^,]*),r=([!-+\--~]+)(?:,.*)?)$/s.exec(
      text,
    )
    if (parts === null) return malformed('a first SCRAM message has a flag, a name and a nonce')
    const [, gs2Header = '', flag = '', actAs, bare = '', mandatory, name = '', nonce = ''] = parts
    // 'y': the client would bind and believes that we cannot, which is so.
    if (flag !== 'n' && flag !== 'y') {
      return malformed(flag.startsWith('p=') ? 'channel-binding-not-supported' : `flag '${flag}'`)
    }
    if (mandatory !== undefined) return malformed('extensions-not-supported')
    const username = saslName(name)
    if (username === null || username === '') return malformed('invalid-username-encoding')
    if (actAs !== undefined && actAs !== '' && saslName(actAs) !== username) {
      return malformed('a user cannot act as another one')
    }
    const secret = this.#secrets.scramSecret(this.name, username)
    const { salt, iterations } = secret.verifier
    const whole = nonce + this.#serverNonce
    const answer = `r=${whole},s=${salt.toString('base64')},i=${iterations}`
    const transcript = `${bare},${answer},`
    this.#challenge = { username, secret, gs2Header, nonce: whole, transcript }
    return { kind: 'challenge', data: Buffer.from(answer) }
  }

  /**
   *     client-final-message = client-final-message-without-proof "," "p=" base64
   *     client-final-message-without-proof = "c=" base64 "," "r=" nonce [ "," extensions ]
   */
  #final(text: string, { username, secret, gs2Header, nonce, transcript }: Challenge): SaslStep {
    const parts = /^(c=([^,]*),r=([^,]*)(?:,.*)?),p=([A-Za-z\d+/]+={0,2})$/s.exec(text)
    if (parts === null) return malformed('a final SCRAM message has a binding, a nonce and a proof')
    const [, withoutProof = '', binding = '', nonceBack, proof = ''] = parts
    if (binding !== Buffer.from(gs2Header).toString('base64')) {
      return malformed('channel-bindings-dont-match')
    }
    if (nonceBack !== nonce) return malformed('the nonce is not the one of this exchange')
    const authMessage = transcript + withoutProof
    const { verifier } = secret
    const isProven = provesScram(verifier, authMessage, Buffer.from(proof, 'base64'))
    const reasonAgainst = (): string | null => {
      if (secret.reasonAgainst !== null) return secret.reasonAgainst
      if (!isProven) return `user '${username}' - invalid credentials`
      if (this.#secrets.isScramSecretOf(username, secret)) return null
      return `user '${username}' - the password was changed meanwhile`
    }
    const signature = scramServerSignature(verifier, authMessage).toString('base64')
    return {
      kind: 'login',
      credentials: { mechanism: this.name, username, reasonAgainst },
      success: Buffer.from(`v=${signature}`),
    }
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0)
const NO_MESSAGE: string = `no text in UTF-8 of at most ${SCRAM_MESSAGE_BYTES_MAX} bytes`

/** `=2C` is a comma and `=3D` an equals sign; null when another `=` is in it. */
function saslName(text: string): string | null {
  if (/=(?!2C|3D)/.test(text)) return null
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=')
}

function messageOf(response: Uint8Array | HeaderMap): string | null {
  if (!(response instanceof Uint8Array)) return null
  if (response.byteLength > SCRAM_MESSAGE_BYTES_MAX) return null
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(response)
    return text.includes('\0') ? null : text
  } catch {
    // Not an error of ours: the peer sent it.
    return null
  }
}

function malformed(reason: string): SaslStep {
  return { kind: 'malformed', reason }
}
