import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'

import { cacheFolder, type Driver, driverTests, onPath } from './driver.ts'
import { MQTT_CHECKS } from './mqtt-checks.ts'

function driver(source: string): Driver {
  const jars = cacheFolder('java')
  if (onPath('java') === null) return { absent: 'no java here' }
  const isThere = existsSync(jars) && readdirSync(jars).some((name) => name.endsWith('.jar'))
  if (!isThere) return { absent: `no jars at ${jars}` }
  // One source file needs no build: java compiles it in memory.
  const file = path.join(import.meta.dirname, 'java', source)
  return { command: 'java', args: ['-cp', `${jars}/*`, file] }
}

driverTests('the Java client', () => driver('Driver.java'))
driverTests("paho's Java clients", () => driver('MqttDriver.java'), {
  protocol: 'mqtt',
  checks: MQTT_CHECKS,
})
