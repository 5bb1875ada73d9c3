/** Where the broker says what an operator should know; the server hands in a real logger. */
export interface BrokerLog {
  /** Once for a message, perhaps. Absent: nobody wants to know. */
  debug?(fields: object, text: string): void
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}
