/** Small values by key that are stored with the commit of the turn they are changed in. */
export interface StateValues {
  get(key: string): Buffer | undefined
  set(key: string, value: Uint8Array): void
  delete(key: string): boolean
}
