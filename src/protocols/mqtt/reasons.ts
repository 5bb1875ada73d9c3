import { REASON } from '../../codec/mqtt/index.ts'

/** What an acknowledgement with this code says to people (section 4.13). */
const TEXTS: Readonly<Record<number, string>> = {
  [REASON.UNSPECIFIED_ERROR]: 'that is not there, or cannot be used so',
  [REASON.IMPLEMENTATION_SPECIFIC_ERROR]:
    'x-key-shared and x-key-header must be as the other members and the queue have them',
  [REASON.NOT_AUTHORIZED]: 'the permissions of this user do not allow it',
  [REASON.TOPIC_FILTER_INVALID]: 'the filter has too many levels, or is too long',
  [REASON.TOPIC_NAME_INVALID]: 'the topic has too many levels, or is too long',
  [REASON.PACKET_IDENTIFIER_NOT_FOUND]: 'nothing is under way with this packet id',
  [REASON.QUOTA_EXCEEDED]: 'a limit is reached: of a queue, of retained messages, of subscriptions',
}

/** Of the first code that is a refusal; undefined where there is nothing to explain. */
export function reasonStringOf(reasonCodes: readonly number[]): string | undefined {
  const refusal = reasonCodes.find((code) => code >= 0x80)
  return refusal === undefined ? undefined : TEXTS[refusal]
}
