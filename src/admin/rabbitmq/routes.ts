import type { Hono } from 'hono'
import type { Asked, RabbitContext } from './operator.ts'

type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'
type Handler = (asked: Asked) => Response | Promise<Response>

/** Paths with what may be done there; another method gets 405 and the ones that may. */
export class Routes {
  readonly #app: Hono<RabbitContext>
  readonly #methods = new Map<string, string[]>()

  constructor(app: Hono<RabbitContext>) {
    this.#app = app
  }

  add(method: Method, path: string, handler: Handler): void {
    this.#app.on(method, path, handler)
    const methods = this.#methods.get(path)
    if (methods === undefined) this.#methods.set(path, [method])
    else methods.push(method)
  }

  /** After the last `add`. */
  finish(): void {
    for (const [path, methods] of this.#methods) {
      const shown = methods.includes('GET') ? ['HEAD', ...methods, 'OPTIONS'] : methods
      this.#app.all(path, (asked) => {
        asked.header('allow', shown.join(', '))
        return asked.body(null, asked.req.method === 'OPTIONS' ? 200 : 405)
      })
    }
  }
}
