export type { AdminParts, Backups, ConnectionSource, StatusView } from './admin-parts.ts'
export { createAdminApp, type AdminApp } from './app.ts'
