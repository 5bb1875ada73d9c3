export { requirePermission, requireTopicPermission, requireVhost } from './access.ts'
export type { AccessQuestion } from './access.ts'
export { Authenticator } from './authenticator.ts'
export type { AuthenticatorOptions } from './authenticator.ts'
export type {
  CertificateCredentials,
  Credentials,
  PasswordCredentials,
  Peer,
} from './credentials.ts'
export type { ScryptCost } from './limits.ts'
export type {
  PermissionKind,
  Permissions,
  TopicPermissions,
  TopicQuestion,
  UserPermissions,
  UserTopicPermissions,
} from './permission-table.ts'
export { createSaslMechanism, saslMechanisms } from './sasl.ts'
export type { SaslMechanism, SaslStep } from './sasl.ts'
export { UserStore } from './user-store.ts'
export type { User, UserStoreOptions } from './user-store.ts'
