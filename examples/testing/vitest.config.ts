import { defineConfig } from 'vitest/config'

// `worker.test.ts` is for node:test.
export default defineConfig({ test: { include: ['*.spec.ts'] } })
