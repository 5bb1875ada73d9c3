import { SASL_MECHANISMS } from '../authentication.ts'
import type { Handler } from '../request-context.ts'

export const handleSaslHandshake: Handler<'SaslHandshake'> = (
  { apiVersion, connection },
  { mechanism },
  respond,
) => {
  const errorCode = connection.authentication.handshake(mechanism, apiVersion)
  respond({ errorCode, mechanisms: [...SASL_MECHANISMS] })
}

export const handleSaslAuthenticate: Handler<'SaslAuthenticate'> = (
  { connection },
  { authBytes },
  respond,
) => {
  connection.authentication.authenticate(authBytes, respond)
}
