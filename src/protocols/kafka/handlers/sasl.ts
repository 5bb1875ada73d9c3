import type { Handler } from '../request-context.ts'

export const handleSaslHandshake: Handler<'SaslHandshake'> = (
  { apiVersion, connection: { authentication } },
  { mechanism },
  respond,
) => {
  const errorCode = authentication.handshake(mechanism, apiVersion)
  respond({ errorCode, mechanisms: authentication.mechanisms() })
}

export const handleSaslAuthenticate: Handler<'SaslAuthenticate'> = (
  { connection },
  { authBytes },
  respond,
) => {
  connection.authentication.authenticate(authBytes, respond)
}
