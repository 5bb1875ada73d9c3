/** Where the broker says what an operator should know; the server hands in a real logger. */
export interface BrokerLog {
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}
