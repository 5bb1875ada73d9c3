import { existsSync } from 'node:fs'
import path from 'node:path'

import { cacheFolder, driverTests } from './driver.ts'

driverTests('pika', () => {
  const python = path.join(cacheFolder('python'), 'bin/python')
  if (!existsSync(python)) return { absent: `no virtual environment at ${cacheFolder('python')}` }
  return { command: python, args: [path.join(import.meta.dirname, 'python/driver.py')] }
})
