/** rabbit-hole, RabbitMQ's management client in Go, against our broker. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder, driverTests, onPath } from './driver.ts'

const FOLDER = path.join(import.meta.dirname, 'go')

const CHECKS = [
  ...['overview', 'vhosts', 'users', 'exchanges', 'queues', 'bindings'],
  ...['policies', 'parameters', 'connections', 'definitions', 'health'],
]

driverTests(
  'rabbit-hole',
  () => {
    const go = onPath('go')
    if (go === null) return { absent: 'no go here' }
    const program = path.join(cacheFolder('go'), 'management-driver')
    if (!existsSync(program)) return { absent: `no build at ${program}` }
    const build = spawnSync(go, ['build', '-o', program, './management'], {
      cwd: FOLDER,
      encoding: 'utf8',
      env: { ...process.env, GOPROXY: 'off', GOFLAGS: '-buildvcs=false' },
    })
    if (build.status !== 0) throw new Error(`go build failed:\n${build.stderr}`)
    return { command: program, args: [] }
  },
  { protocol: 'management', checks: CHECKS },
)
