import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Command } from 'commander'
import { settingReference } from '../server/setting-reference.ts'
import { createProgram } from './program.ts'

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((inner) => [inner, ...allCommands(inner)])
}

test('every command says what it does and has --help', () => {
  const commands = allCommands(createProgram(() => undefined))
  assert.ok(commands.length > 25)
  for (const command of commands) {
    assert.notEqual(command.description(), '', command.name())
    assert.match(command.helpInformation(), /-h, --help/, command.name())
  }
})

test('every command that asks a broker can be told which one and to print JSON', () => {
  // They look at this machine and its files, or speak RPC, and do not ask the HTTP API.
  const others = new Set(
    'start fsck attach call doctor settings backup restore bench emit diff'.split(' '),
  )
  for (const command of allCommands(createProgram(() => undefined))) {
    if (others.has(command.name()) || command.commands.length > 0) continue
    const flags = command.options.map(({ long }) => long)
    for (const flag of ['--data', '--config', '--url', '--user', '--json']) {
      assert.ok(flags.includes(flag), `${command.name()} has no ${flag}`)
    }
  }
})

test('a setting has the flag that the reference says', () => {
  const start = allCommands(createProgram(() => undefined)).find(
    (command) => command.name() === 'start',
  )
  const flags = start?.options.map(({ long }) => long) ?? []
  for (const { key, flag } of settingReference()) {
    assert.ok(flags.includes(flag.split(' ')[0]), `${key}: ${flag}`)
  }
})

test('no command takes a password as an argument', () => {
  for (const command of allCommands(createProgram(() => undefined))) {
    const names = command.registeredArguments.map((argument) => argument.name())
    assert.ok(!names.includes('password'), command.name())
    const option = command.options.find(({ long }) => long === '--password')
    assert.equal(option, undefined, command.name())
  }
})
