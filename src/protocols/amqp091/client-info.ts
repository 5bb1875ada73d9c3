import type { FieldTable } from '../../codec/amqp091/index.ts'
import { CLIENT_NAME_CHARS_MAX } from './limits.ts'

/** What a client says about itself, for listings and logs. */
export class ClientInfo {
  /** `connection_name`, where the application gave one. */
  name: string | null = null
  product: string | null = null
  version: string | null = null
  /** How it logged in. */
  mechanism: string | null = null

  read(properties: FieldTable): void {
    this.name = textIn(properties, 'connection_name')
    this.product = textIn(properties, 'product')
    this.version = textIn(properties, 'version')
  }
}

function textIn(properties: FieldTable, key: string): string | null {
  const value = properties.get(key)
  return typeof value === 'string' ? value.slice(0, CLIENT_NAME_CHARS_MAX) : null
}
