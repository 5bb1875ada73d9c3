import { ERROR } from '../../../codec/kafka/index.ts'
import type { Handler } from '../request-context.ts'

/** KIP-511: what a client may call itself and its version. */
const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/**
 * Features of a cluster, all of them finalized, at the level that is served. Clients ask whether
 * `transaction.version` is 2 before they leave AddPartitionsToTxn out and have their epoch raised
 * with each transaction.
 */
const FEATURES: readonly { readonly name: string; readonly level: number }[] = [
  { name: 'group.version', level: 1 },
  { name: 'share.version', level: 1 },
  { name: 'transaction.version', level: 2 },
]

export const handleApiVersions: Handler<'ApiVersions'> = (
  { apiVersion, connection, shared },
  request,
  respond,
) => {
  const { clientSoftwareName: name, clientSoftwareVersion: version } = request
  if (apiVersion >= 3) {
    if (!SOFTWARE.test(name) || !SOFTWARE.test(version)) {
      respond({ errorCode: ERROR.INVALID_REQUEST, apiKeys: [] })
      return
    }
    connection.clientSoftware = `${name} ${version}`
  }
  respond({
    errorCode: ERROR.NONE,
    apiKeys: [...shared.apis.advertised],
    supportedFeatures: FEATURES.map(({ name: feature, level }) => ({
      name: feature,
      // Not 0, for which older clients have no place (KAFKA-17011).
      minVersion: 1,
      maxVersion: level,
    })),
    finalizedFeaturesEpoch: 0,
    finalizedFeatures: FEATURES.map(({ name: feature, level }) => ({
      name: feature,
      maxVersionLevel: level,
      minVersionLevel: level,
    })),
  })
}
