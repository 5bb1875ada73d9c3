export type { AdminParts, Backups, ConnectionSource, StatusView } from './admin-parts.ts'
export type { ProcessFigures } from './metrics/process-figures.ts'
export { createAdminApp, type AdminApp } from './app.ts'
export type { PageFile, PageFiles } from './console/page-files.ts'
