import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerCertificate } from 'node:tls'
import {
  alternativeNames,
  certificateNameOf,
  parsePrincipalRules,
  type CertificateNaming,
} from './certificate-name.ts'

const certificate = {
  subject: { O: 'Example, Inc', OU: 'Shop', CN: 'Robot' },
  subjectaltname: 'DNS:robot.example, IP Address:127.0.0.1, DNS:second.example, email:r@b.example',
} as unknown as PeerCertificate

function nameBy(naming: CertificateNaming): string | null {
  return certificateNameOf(certificate, naming)
}

test('the user is the common name, the distinguished name or an alternative name', () => {
  assert.equal(nameBy({}), 'Robot')
  assert.equal(nameBy({ from: 'distinguished_name' }), String.raw`CN=Robot,OU=Shop,O=Example\, Inc`)
  const san = { from: 'subject_alternative_name' } as const
  assert.equal(nameBy(san), 'robot.example')
  assert.equal(nameBy({ ...san, sanIndex: 1 }), 'second.example')
  assert.equal(nameBy({ ...san, sanType: 'email' }), 'r@b.example')
  assert.equal(nameBy({ ...san, sanType: 'ip' }), '127.0.0.1')
  assert.equal(nameBy({ ...san, sanType: 'uri' }), null)
  assert.equal(nameBy({ ...san, sanIndex: 2 }), null)
})

test('an alternative name with commas in it is one name', () => {
  const subjectaltname = String.raw`DNS:"a, DNS:admin.example", DNS:b`
  assert.deepEqual(alternativeNames({ subjectaltname }, 'dns'), ['a, DNS:admin.example', 'b'])
  assert.deepEqual(alternativeNames({}, 'dns'), [])
})

test("Kafka's rules map the distinguished name, the first that fits whole", () => {
  const rules = (text: string): string | null => nameBy({ rules: parsePrincipalRules(text) ?? [] })
  assert.equal(rules('RULE:^CN=(.*?),.*$/$1/L,DEFAULT'), 'robot')
  assert.equal(rules('RULE:^CN=(.*?),.*$/$1@shop/U'), 'ROBOT@SHOP')
  assert.equal(rules('RULE:CN=Robot/never/, DEFAULT'), String.raw`CN=Robot,OU=Shop,O=Example\, Inc`)
  assert.equal(rules('RULE:^nobody$/x/'), null)
})

test('what is no rule is not guessed', () => {
  for (const text of ['', 'RULE:a', 'RULE:(/x/', 'DEFAULT,whatever', 'RULE:a/b/X']) {
    assert.equal(parsePrincipalRules(text), null, text)
  }
})
