import type { HeaderMap } from '../model/header-value.ts'
import type { SaslMechanism, SaslStep } from './sasl.ts'

/** What RFC 7628 has for a token that is not good; the client answers with one octet. */
const REFUSAL: Buffer = Buffer.from('{"status":"invalid_token"}')

/**
 * RFC 7628, as Kafka's clients speak it:
 *
 *     client  n,a=user,^Aauth=Bearer TOKEN^A^A      (^A is the octet 1)
 *     server  nothing, or {"status":"invalid_token"}
 *     client  ^A, and is refused
 */
export class OAuthBearer implements SaslMechanism {
  readonly name = 'OAUTHBEARER'

  respond(response: Uint8Array | HeaderMap): SaslStep {
    if (!(response instanceof Uint8Array)) return malformed('takes bytes, not a table')
    const text = Buffer.from(response).toString('utf8')
    const [header = '', ...fields] = text.split('\x01')
    const [, authorizeAs = ''] = /^n,(?:a=([^,]*))?,$/.exec(header) ?? []
    // Two of them at the end, so that the last two fields are empty.
    if (!/^n,(?:a=[^,]*)?,$/.test(header) || fields.length < 3 || fields.at(-1) !== '') {
      return malformed('is no message of RFC 7628')
    }
    const token = /^auth=Bearer (\S+)$/i.exec(
      fields.find((field) => field.startsWith('auth=')) ?? '',
    )
    if (token === null) return malformed('has no bearer token')
    const username = authorizeAs.replaceAll('=2C', ',').replaceAll('=3D', '=')
    return {
      kind: 'login',
      credentials: { mechanism: this.name, username, token: token[1]! },
      refusal: REFUSAL,
    }
  }
}

function malformed(reason: string): SaslStep {
  return { kind: 'malformed', reason: `an OAUTHBEARER message ${reason}` }
}
