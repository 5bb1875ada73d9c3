/** gRPC of other languages, client and server, in gRPC's own interop cases. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder, type Driver } from './driver.ts'
import { grpcInteropTest } from './grpc-harness.ts'

function goProgram(): Driver {
  const command = path.join(cacheFolder('go'), 'tools/grpc')
  return existsSync(command) ? { command, args: [] } : { absent: `no build at ${command}` }
}

function pythonProgram(): Driver {
  const command = path.join(cacheFolder('python'), 'bin/python')
  const probe = existsSync(command)
    ? spawnSync(command, ['-c', 'import grpc, google.protobuf'])
    : { status: 1 }
  if (probe.status !== 0) return { absent: `not in ${cacheFolder('python')}` }
  return { command, args: [path.join(import.meta.dirname, 'python/grpc_interop.py')] }
}

grpcInteropTest('grpc-go', goProgram)
grpcInteropTest('grpcio of Python', pythonProgram)
