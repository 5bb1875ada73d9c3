import { existsSync } from 'node:fs'
import path from 'node:path'

import { cacheFolder, driverTests, type Driver } from './driver.ts'
import { KAFKA_CHECKS } from './kafka-checks.ts'

const CHECKS = [...KAFKA_CHECKS, 'transaction-offsets', 'sasl-scram', 'tls']

driverTests('confluent-kafka, librdkafka', () => find('confluent_driver.py'), {
  protocol: 'kafka',
  checks: [...CHECKS, 'group-cooperative', 'group-consumer'],
})
driverTests('kafka-python', () => find('kafka_python_driver.py'), {
  protocol: 'kafka',
  checks: CHECKS,
})

function find(driver: string): Driver {
  const python = path.join(cacheFolder('python'), 'bin/python')
  if (!existsSync(python)) return { absent: `no virtual environment at ${cacheFolder('python')}` }
  return { command: python, args: [path.join(import.meta.dirname, 'python', driver)] }
}
