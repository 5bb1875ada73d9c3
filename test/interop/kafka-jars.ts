import { existsSync, readdirSync } from 'node:fs'

import { cacheFolder, onPath } from './driver.ts'

interface KafkaJars {
  readonly classPath: string
  /** For `java`: quick to start rather than quick for long, and quiet but for errors. */
  readonly options: readonly string[]
}

/** Apache Kafka's jars as test/interop/setup.sh has fetched them. */
export function kafkaClassPath(): KafkaJars | { readonly absent: string } {
  const jars = cacheFolder('kafka')
  if (onPath('java') === null || onPath('javac') === null) return { absent: 'no JDK here' }
  const isThere = existsSync(jars) && readdirSync(jars).some((name) => name.endsWith('.jar'))
  if (!isThere) return { absent: `no jars at ${jars}` }
  return {
    classPath: `${jars}/*`,
    options: [
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-Xshare:auto',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
    ],
  }
}
