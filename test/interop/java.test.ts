import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'

import { cacheFolder, driverTests, onPath } from './driver.ts'

driverTests('the Java client', () => {
  const jars = cacheFolder('java')
  if (onPath('java') === null) return { absent: 'no java here' }
  const isThere = existsSync(jars) && readdirSync(jars).some((name) => name.endsWith('.jar'))
  if (!isThere) return { absent: `no jars at ${jars}` }
  const driver = path.join(import.meta.dirname, 'java/Driver.java')
  // One source file needs no build: java compiles it in memory.
  return { command: 'java', args: ['-cp', `${jars}/*`, driver] }
})
