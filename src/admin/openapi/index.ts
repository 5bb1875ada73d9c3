import type { Hono } from 'hono'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { openApiDocument } from './document.ts'

/** Serves the document of all that is registered, also after this; made when first asked for. */
export function addOpenApi(
  app: Hono<AdminContext>,
  parts: AdminParts,
  ofConsole: ReadonlySet<string>,
): void {
  let document: object | null = null
  app.get('/v1/openapi.json', (context) => {
    const { version } = parts.status()
    document ??= openApiDocument(app.routes, { version, ofConsole })
    return context.json(document)
  })
}
