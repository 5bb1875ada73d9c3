import type { Broker } from './broker.ts'

const VHOST_PREFIX = 'notes/vhost/'

/** What is written down of a virtual host, in the state table as JSON. */
export interface VhostNotes {
  readonly description: string
  readonly tags: readonly string[]
  /** Of queues whose declaration names none; null: the protocol's own. */
  readonly defaultQueueType: string | null
}

const NO_NOTES: VhostNotes = { description: '', tags: [], defaultQueueType: null }
const FIRST_VHOST_NOTES: VhostNotes = { ...NO_NOTES, description: 'Default virtual host' }

export function vhostNotes({ state }: Broker, name: string): VhostNotes {
  const value = state.get(VHOST_PREFIX + name)
  if (value !== undefined) return JSON.parse(value.toString('utf8')) as VhostNotes
  return name === '/' ? FIRST_VHOST_NOTES : NO_NOTES
}

/** Stored with the commit of this turn. */
export function setVhostNotes({ state }: Broker, name: string, notes: VhostNotes): void {
  state.set(VHOST_PREFIX + name, Buffer.from(JSON.stringify(notes), 'utf8'))
}

export function forgetVhostNotes({ state }: Broker, name: string): void {
  state.delete(VHOST_PREFIX + name)
}
