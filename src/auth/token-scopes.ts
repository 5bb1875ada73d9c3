import type { PermissionKind, TopicQuestion } from './permission-table.ts'

/**
 * What a token allows, in the form of RabbitMQ's OAuth 2 plugin:
 *
 *     read:VHOST/NAME    write:VHOST/NAME/ROUTING-KEY    configure:VHOST/NAME    tag:TAG
 *
 * `*` in a part stands for any text, everything else may be percent-encoded; a scope without
 * routing key is good for all of them. What is none of these is somebody else's scope.
 */
export class TokenScopes {
  readonly tags: readonly string[]
  readonly #scopes: readonly Scope[]

  constructor(texts: readonly string[]) {
    this.tags = texts.flatMap((text) => (/^tag:([\w-]{1,64})$/.exec(text) ?? []).slice(1))
    this.#scopes = texts.flatMap((text) => scopeOf(text) ?? [])
  }

  /** Whether it allows anything there. */
  mayEnter(vhost: string): boolean {
    return this.#scopes.some((scope) => scope.vhost.fits(vhost))
  }

  allowed(vhost: string, name: string, kind: PermissionKind): boolean {
    return this.#scopes.some(
      (scope) => scope.kind === kind && scope.vhost.fits(vhost) && scope.name.fits(name),
    )
  }

  topicAllowed({ vhost, exchange, routingKey, kind }: TopicQuestion): boolean {
    return this.#scopes.some(
      (scope) =>
        scope.kind === kind &&
        scope.vhost.fits(vhost) &&
        scope.name.fits(exchange) &&
        scope.key.fits(routingKey),
    )
  }
}

interface Scope {
  readonly kind: PermissionKind
  readonly vhost: Wildcard
  readonly name: Wildcard
  readonly key: Wildcard
}

function scopeOf(text: string): Scope | null {
  const [, kind, rest = ''] = /^(configure|write|read):(.+)$/.exec(text) ?? []
  const parts = rest.split('/')
  if (kind === undefined || parts.length < 2 || parts.length > 3) return null
  const [vhost = null, name = null, key = ANY] = parts.map(wildcardOf)
  if (vhost === null || name === null || key === null) return null
  return { kind: kind as PermissionKind, vhost, name, key }
}

/** Null: its percent signs encode nothing. */
function wildcardOf(text: string): Wildcard | null {
  try {
    return new Wildcard(text.split('*').map(decodeURIComponent))
  } catch {
    // Not ours to mend: a scope that cannot be read allows nothing.
    return null
  }
}

/** Text with gaps. Linear: each piece is looked for once, from where the last one ended. */
class Wildcard {
  readonly #pieces: readonly string[]

  constructor(pieces: readonly string[]) {
    this.#pieces = pieces
  }

  fits(text: string): boolean {
    const pieces = this.#pieces
    const first = pieces[0]!
    if (pieces.length === 1) return text === first
    const last = pieces.at(-1)!
    if (!text.startsWith(first)) return false
    let at = first.length
    for (const piece of pieces.slice(1, -1)) {
      const found = text.indexOf(piece, at)
      if (found < 0) return false
      at = found + piece.length
    }
    return text.length - at >= last.length && text.endsWith(last)
  }
}

const ANY: Wildcard = new Wildcard(['', ''])
