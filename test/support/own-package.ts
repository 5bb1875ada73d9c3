/** `node --import` of this lets a program of a reader find the package, which is not built in tests. */
import { registerHooks } from 'node:module'

const CLIENT = new URL('../../src/client/index.ts', import.meta.url).href

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === 'waystation/rpc') return { url: CLIENT, shortCircuit: true }
    return next(specifier, context)
  },
})
