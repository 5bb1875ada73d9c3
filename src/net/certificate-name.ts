import type { PeerCertificate } from 'node:tls'

export type SanType = 'dns' | 'ip' | 'email' | 'uri'

/** Which name in a client certificate is the name of its user. */
export interface CertificateNaming {
  /** Default `common_name`. */
  readonly from?: 'common_name' | 'distinguished_name' | 'subject_alternative_name'
  /** Which alternative names count; default `dns`. */
  readonly sanType?: SanType
  /** Which of them, from 0; default 0. */
  readonly sanIndex?: number
  /** In the place of all these: the first rule that fits the distinguished name. */
  readonly rules?: readonly PrincipalRule[]
}

/** One of Kafka's `ssl.principal.mapping.rules`. */
export interface PrincipalRule {
  /** Null: the whole distinguished name as it is. */
  readonly pattern: RegExp | null
  readonly replacement: string
  readonly letters: 'as they are' | 'lower' | 'upper'
}

/** How OpenSSL names the types. */
const SAN_LABELS: Readonly<Record<SanType, string>> = {
  dns: 'DNS',
  ip: 'IP Address',
  email: 'email',
  uri: 'URI',
}

/** Null: nobody, as far as this certificate tells. */
export function certificateNameOf(
  certificate: PeerCertificate,
  naming: CertificateNaming,
): string | null {
  const { from = 'common_name', sanType = 'dns', sanIndex = 0, rules = [] } = naming
  if (rules.length > 0) return byRules(distinguishedName(certificate.subject), rules)
  if (from === 'distinguished_name') return distinguishedName(certificate.subject)
  if (from === 'subject_alternative_name') {
    return alternativeNames(certificate, sanType)[sanIndex] ?? null
  }
  return firstOf(certificate.subject.CN)
}

/** Those of one type, in the order of the certificate. */
export function alternativeNames(
  { subjectaltname = '' }: { readonly subjectaltname?: string | undefined },
  type: SanType,
): string[] {
  const names: string[] = []
  // `DNS:a.example, IP Address:127.0.0.1`; a value with anything strange in it stands in quotes.
  for (const [, label, value = ''] of subjectaltname.matchAll(
    /(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g,
  )) {
    if (label !== SAN_LABELS[type]) continue
    names.push(value.startsWith('"') ? (JSON.parse(value) as string) : value)
  }
  return names
}

type NameParts = PeerCertificate['subject']

/** In the order of RFC 4514: the most specific part first. */
export function distinguishedName(name: NameParts): string {
  const parts: string[] = []
  for (const [key, value] of Object.entries(name as unknown as Record<string, unknown>)) {
    const values: unknown[] = Array.isArray(value) ? value : [value]
    for (const one of values) parts.push(`${key}=${escapeNamePart(String(one))}`)
  }
  return parts.toReversed().join(',')
}

export function firstOf(value: unknown): string | null {
  if (Array.isArray(value)) return value.length > 0 ? String(value[0]) : null
  return typeof value === 'string' ? value : null
}

function escapeNamePart(text: string): string {
  return text.replace(/([,+"\\<>;=])/g, '\\$1')
}

/**
 * Reads Kafka's form, `RULE:^CN=(.*?),.*$/$1/L,DEFAULT`; null where it is none. As in Java, a
 * pattern must fit the whole name.
 */
export function parsePrincipalRules(text: string): PrincipalRule[] | null {
  const rules: PrincipalRule[] = []
  const rule = /\s*(?:(DEFAULT)|RULE:((?:\\.|[^\\/])*)\/((?:\\.|[^\\/])*)\/([LU]?))\s*(?:,|$)/y
  while (rule.lastIndex < text.length) {
    const found = rule.exec(text)
    if (found === null) return null
    const [, isDefault, pattern = '', replacement = '', letters = ''] = found
    if (isDefault !== undefined) {
      rules.push({ pattern: null, replacement: '', letters: 'as they are' })
      continue
    }
    try {
      rules.push({
        pattern: new RegExp(`^(?:${pattern})$`),
        replacement,
        letters: letters === 'L' ? 'lower' : letters === 'U' ? 'upper' : 'as they are',
      })
    } catch {
      // Not a regular expression, so not a rule: the caller says what was expected.
      return null
    }
  }
  return rules.length === 0 ? null : rules
}

function byRules(name: string, rules: readonly PrincipalRule[]): string | null {
  for (const { pattern, replacement, letters } of rules) {
    if (pattern === null) return name
    if (!pattern.test(name)) continue
    const mapped = name.replace(pattern, replacement)
    if (letters === 'lower') return mapped.toLowerCase()
    return letters === 'upper' ? mapped.toUpperCase() : mapped
  }
  return null
}
