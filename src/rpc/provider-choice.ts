import { CLOSED_REQUEST, type CallHead, type ReplySink, type RequestSink } from './call.ts'
import { PROVIDERS_TEXT_MAX } from './limits.ts'
import { Metadata } from './metadata.ts'
import type { Attachment, Service } from './registry.ts'
import { OK_STATUS, statusOf } from './status.ts'

/** Names one provider of a service, by the number the broker gave it: the call goes to it or to none. */
export const PROVIDER_METADATA = 'waystation-provider'

/** Asks who provides a service: the answer has the same name, and `NUMBER;INSTANCE` of each. */
export const PROVIDERS_METADATA = 'waystation-providers'

/** Whether a call says where it is to go, or asks where it could. */
export function choosesProvider(metadata: Metadata): boolean {
  return metadata.get(PROVIDER_METADATA) !== null || metadata.get(PROVIDERS_METADATA) !== null
}

/** Null: it is not there any more. */
export function chosenProvider(service: Service, head: CallHead): Attachment | null {
  const id = Number(head.metadata.get(PROVIDER_METADATA))
  return service.providers.find((provider) => provider.id === id) ?? null
}

/** Answers who provides the service, with a message that says nothing. */
export function tellProviders(service: Service, head: CallHead, reply: ReplySink): RequestSink {
  const all = service.providers.map(
    ({ id, info }) => `${id};${encodeURIComponent(info.instanceId)}`,
  )
  const text = all.join(',')
  if (text.length > PROVIDERS_TEXT_MAX) {
    const why = `the names of ${all.length} providers take more than ${PROVIDERS_TEXT_MAX} octets`
    reply.status(statusOf('RESOURCE_EXHAUSTED', why), Metadata.EMPTY)
    return CLOSED_REQUEST
  }
  reply.head(Metadata.from([[PROVIDERS_METADATA, text]]))
  if (!head.isOneWay) reply.reply(Buffer.from(head.contentType === 'json' ? '{}' : ''))
  reply.status(OK_STATUS, Metadata.EMPTY)
  return CLOSED_REQUEST
}
