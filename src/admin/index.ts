export type { AdminParts, ConnectionSource, StatusView } from './admin-parts.ts'
export { createAdminApp, type AdminApp } from './app.ts'
