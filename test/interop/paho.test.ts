import { existsSync } from 'node:fs'
import path from 'node:path'

import { cacheFolder, driverTests } from './driver.ts'
import { MQTT_CHECKS } from './mqtt-checks.ts'

driverTests(
  'paho-mqtt',
  () => {
    const python = path.join(cacheFolder('python'), 'bin/python')
    if (!existsSync(python)) return { absent: `no virtual environment at ${cacheFolder('python')}` }
    return { command: python, args: [path.join(import.meta.dirname, 'python/mqtt_driver.py')] }
  },
  { protocol: 'mqtt', checks: MQTT_CHECKS },
)
