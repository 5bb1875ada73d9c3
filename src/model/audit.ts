/** Something that an auditor wants to find later. No field ever holds a secret. */
export interface AuditEvent {
  readonly event: 'login refused' | 'refused' | 'changed'
  /** Null: nobody, or not known yet. */
  readonly user: string | null
  /** Such as `AMQP 0-9-1` or `HTTP`; absent where only the user is known. */
  readonly protocol?: string
  /** Address, or addresses of both ends. */
  readonly peer?: string
  readonly vhost?: string
  /** Such as `queue.delete` or `PUT /v1/users/ann`. */
  readonly action: string
  /** What it was done to, or would have been. */
  readonly object?: string
  readonly reason?: string
  /** Changes of which clients make thousands: those alike are counted. Default false. */
  readonly isOneOfMany?: boolean
}

/** Takes such events; returns at once and never throws. */
export interface AuditSink {
  record(event: AuditEvent): void
}

export const SILENT_AUDIT: AuditSink = { record: () => undefined }
