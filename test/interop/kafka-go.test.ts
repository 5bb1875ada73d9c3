import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'

import { cacheFolder, driverTests, type Driver, onPath } from './driver.ts'
import { KAFKA_CHECKS } from './kafka-checks.ts'

const FOLDER = path.join(import.meta.dirname, 'go')

const FRANZ_CHECKS = [
  ...KAFKA_CHECKS,
  'group-consumer',
  'group-share',
  'transaction-offsets',
  'sasl-scram',
  'tls',
]

driverTests('franz-go', () => find('franz-go'), { protocol: 'kafka', checks: FRANZ_CHECKS })
driverTests('sarama', () => find('sarama'), { protocol: 'kafka', checks: KAFKA_CHECKS })

function find(client: string): Driver {
  const go = onPath('go')
  if (go === null) return { absent: 'no go here' }
  const program = path.join(cacheFolder('go'), 'kafka-driver')
  if (!existsSync(program)) return { absent: `no build at ${program}` }
  // Built again, so that the driver is the one in this tree; what setup.sh fetched is enough.
  const build = spawnSync(go, ['build', '-o', program, './kafka'], {
    cwd: FOLDER,
    encoding: 'utf8',
    env: { ...process.env, GOPROXY: 'off', GOFLAGS: '-buildvcs=false' },
  })
  if (build.status !== 0) throw new Error(`go build failed:\n${build.stderr}`)
  return { command: program, args: [client] }
}
