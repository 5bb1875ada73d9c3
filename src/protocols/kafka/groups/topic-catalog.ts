/** A topic as groups see it. */
export interface CatalogTopic {
  readonly id: string
  readonly name: string
  readonly partitionCount: number
}

/** The topics of a virtual host, as they are at the moment. */
export interface TopicCatalog {
  /** Another number after a topic came, went or grew: nothing else need be asked before. */
  readonly version: number
  get(name: string): CatalogTopic | undefined
  byId(id: string): CatalogTopic | undefined
  names(): Iterable<string>
}
