#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import path from 'node:path'

// Compiling takes longer than starting: kept from the last time, it halves the wait. Below the
// user's own folder, because whoever may write there decides what runs here.
const caches = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache')
enableCompileCache(path.join(caches, 'waystation', 'compiled'))
const { runCommandLine } = await import('./command-line.ts')
await runCommandLine()
