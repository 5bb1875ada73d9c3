/** gRPC of other languages, client and server, in gRPC's own interop cases. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder, type Driver } from './driver.ts'
import { grpcInteropTest } from './grpc-harness.ts'

function goProgram(): Driver {
  const command = path.join(cacheFolder('go'), 'tools/grpc')
  return existsSync(command) ? { command, args: [] } : { absent: `no build at ${command}` }
}

grpcInteropTest('grpc-go', goProgram)
