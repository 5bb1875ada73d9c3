import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { connect } from 'amqplib'
import { makeAuthority, makeCertificate } from '../../test/support/certificates.ts'
import { startBroker, StartupError } from './index.ts'

const scratch = mkdtempSync(path.join(tmpdir(), 'waystation-tls-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

function write(name: string, text: string): string {
  const file = path.join(scratch, name)
  writeFileSync(file, text)
  return file
}

test('a client that trusts the authority connects over TLS, and gets the new certificate after a reload', async () => {
  const first = makeAuthority('first')
  const second = makeAuthority('second')
  const files = (authority: typeof first): { certFile: string; keyFile: string } => {
    const { certPem, keyPem } = makeCertificate(authority, [['CN', 'broker']], ['127.0.0.1'])
    return { certFile: write('cert.pem', certPem), keyFile: write('key.pem', keyPem) }
  }
  const tls = files(first)
  await using broker = await startBroker({ listen: { amqp: false, amqps: 0 }, tls })
  assert.match(broker.url('amqps'), /^amqps:\/\/127\.0\.0\.1:\d+$/)
  const open = async (authority: typeof first): Promise<void> => {
    const connection = await connect(broker.url('amqps'), { ca: [authority.certPem] })
    await connection.close()
  }
  await open(first)
  files(second)
  await open(first)
  await broker.reloadTls()
  await open(second)
  await assert.rejects(open(first))
})

test('certificates that cannot be used are refused by name', async () => {
  const certFile = write('wrong.pem', 'no certificate')
  const start = startBroker({
    listen: { amqps: 0 },
    tls: { certFile, keyFile: path.join(scratch, 'none') },
  })
  await assert.rejects(start, (error: unknown) => {
    assert.ok(error instanceof StartupError)
    assert.equal(error.code, 'config')
    assert.match(error.message, /^amqps: the TLS files of amqps cannot be used: /)
    return true
  })
})
