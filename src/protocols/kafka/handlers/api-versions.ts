import { ERROR } from '../../../codec/kafka/index.ts'
import type { Handler } from '../request-context.ts'

/** KIP-511: what a client may call itself and its version. */
const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

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
  respond({ errorCode: ERROR.NONE, apiKeys: [...shared.apis.advertised] })
}
