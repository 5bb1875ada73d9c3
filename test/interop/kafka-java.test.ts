import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after } from 'node:test'

import { driverTests, type Driver } from './driver.ts'
import { kafkaClassPath } from './kafka-jars.ts'

const SOURCES = path.join(import.meta.dirname, 'java/kafka')

/** What the driver of Apache Kafka's own clients checks, by names it has in java/kafka. */
const CHECKS = [
  'produce-consume',
  'codecs',
  'acks',
  'large',
  'seek',
  'log-append-time',
  'auto-create',
  'sasl-plain',
  'sasl-scram-256',
  'sasl-scram-512',
  'tls',
  'wrong-password',
  'group-classic',
  'group-cooperative',
  'group-consumer',
  'group-static',
  'group-static-consumer',
  'group-pattern',
  'group-migration',
  'group-share',
  'group-share-limits',
  'group-share-keys',
  'transaction-commit',
  'transaction-offsets',
  'transaction-fencing',
  'transaction-timeout',
  'streams-word-count',
  'admin-topics',
  'admin-configs',
  'admin-records',
  'admin-groups',
  'admin-cluster',
  'admin-transactions',
] as const

const classes = mkdtempSync(path.join(tmpdir(), 'waystation-kafka-driver-'))
after(() => {
  rmSync(classes, { recursive: true })
})

driverTests('Kafka’s Java clients', find, { protocol: 'kafka', checks: CHECKS })

function find(): Driver {
  const jars = kafkaClassPath()
  if ('absent' in jars) return jars
  const sources = globSync(`${SOURCES}/*.java`)
  const build = spawnSync('javac', ['-d', classes, '-cp', jars.classPath, ...sources], {
    encoding: 'utf8',
  })
  if (build.status !== 0) throw new Error(`javac failed:\n${build.stderr}`)
  const args = ['-cp', `${classes}${path.delimiter}${jars.classPath}`, 'Driver']
  return { command: 'java', args: [...jars.options, ...args] }
}
