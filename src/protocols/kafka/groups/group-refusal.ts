/** What a group can answer, in Kafka's words; `NONE` means that all is well. */
export type GroupError =
  | 'NONE'
  | 'COORDINATOR_NOT_AVAILABLE'
  | 'FENCED_INSTANCE_ID'
  | 'FENCED_MEMBER_EPOCH'
  | 'GROUP_ID_NOT_FOUND'
  | 'GROUP_MAX_SIZE_REACHED'
  | 'GROUP_SUBSCRIBED_TO_TOPIC'
  | 'ILLEGAL_GENERATION'
  | 'INCONSISTENT_GROUP_PROTOCOL'
  | 'INVALID_GROUP_ID'
  | 'INVALID_REGULAR_EXPRESSION'
  | 'INVALID_REQUEST'
  | 'INVALID_SESSION_TIMEOUT'
  | 'MEMBER_ID_REQUIRED'
  | 'NON_EMPTY_GROUP'
  | 'REBALANCE_IN_PROGRESS'
  | 'STALE_MEMBER_EPOCH'
  | 'UNKNOWN_MEMBER_ID'
  | 'UNKNOWN_SERVER_ERROR'
  | 'UNRELEASED_INSTANCE_ID'
  | 'UNSUPPORTED_ASSIGNOR'
  | 'UNSUPPORTED_VERSION'

/** A request a group expects and refuses; the handler makes an answer of it. */
export class GroupRefusal extends Error {
  readonly code: GroupError

  /** `message` goes to the client as it is, where its answer has a place for it. */
  constructor(code: GroupError, message: string) {
    super(message)
    this.name = 'GroupRefusal'
    this.code = code
  }
}
