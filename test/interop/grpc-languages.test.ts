/** gRPC of other languages, client and server, in gRPC's own interop cases. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after } from 'node:test'
import { cacheFolder, type Driver, onPath } from './driver.ts'
import { connectEs } from './connect-es-peer.ts'
import { grpcInteropTest, peerInteropTest } from './grpc-harness.ts'
import { grpcJs } from './grpc-js-peer.ts'

const classes = mkdtempSync(path.join(tmpdir(), 'waystation-grpc-java-'))
after(() => rmSync(classes, { recursive: true }))

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

function javaProgram(): Driver {
  const jars = cacheFolder('java-grpc')
  if (onPath('javac') === null) return { absent: 'no JDK here' }
  const isThere = existsSync(jars) && readdirSync(jars).some((name) => name.endsWith('.jar'))
  if (!isThere) return { absent: `no jars at ${jars}` }
  // Compiled once for the two that run, so that the driver is the one in this tree.
  const source = path.join(import.meta.dirname, 'java/grpc/Driver.java')
  const build = spawnSync('javac', ['-cp', `${jars}/*`, '-d', classes, source], {
    encoding: 'utf8',
  })
  if (build.status !== 0) throw new Error(`javac failed:\n${build.stderr}`)
  return { command: 'java', args: ['-cp', `${classes}${path.delimiter}${jars}/*`, 'Driver'] }
}

grpcInteropTest('grpc-go', goProgram)
grpcInteropTest('grpcio of Python', pythonProgram)
grpcInteropTest('grpc-java', javaProgram)
peerInteropTest('Connect-ES', connectEs)
peerInteropTest('grpc-js', grpcJs)
