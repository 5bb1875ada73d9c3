export { openConsole, type Console } from './console.ts'
