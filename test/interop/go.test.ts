import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'

import { cacheFolder, type Driver, driverTests, onPath } from './driver.ts'
import { MQTT_CHECKS } from './mqtt-checks.ts'

const FOLDER = path.join(import.meta.dirname, 'go')

function driver(name: string, source: string): Driver {
  const go = onPath('go')
  if (go === null) return { absent: 'no go here' }
  const program = path.join(cacheFolder('go'), name)
  if (!existsSync(program)) return { absent: `no build at ${program}` }
  // Built again, so that the driver is the one in this tree; what setup.sh fetched is enough.
  const build = spawnSync(go, ['build', '-o', program, source], {
    cwd: FOLDER,
    encoding: 'utf8',
    env: { ...process.env, GOPROXY: 'off', GOFLAGS: '-buildvcs=false' },
  })
  if (build.status !== 0) throw new Error(`go build failed:\n${build.stderr}`)
  return { command: program, args: [] }
}

driverTests('amqp091-go', () => driver('driver', '.'))
driverTests('paho.mqtt.golang and paho.golang', () => driver('mqtt-driver', './mqtt'), {
  protocol: 'mqtt',
  checks: MQTT_CHECKS,
})
