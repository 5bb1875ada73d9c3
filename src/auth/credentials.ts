/** What a peer says of itself. */
export interface PasswordCredentials {
  /** For the refusal: `PLAIN`, or whatever carried the password. */
  readonly mechanism: string
  readonly username: string
  readonly password: string
}

/** What the peer's certificate says. */
export interface CertificateCredentials {
  readonly mechanism: 'EXTERNAL'
  readonly username: string
  readonly password: null
}

/** What the peer has shown without saying it. */
export interface ProofCredentials {
  readonly mechanism: string
  readonly username: string
  /** Why it is no proof, for the log; null: it is one. */
  readonly reasonAgainst: () => string | null
}

/** What an identity provider has signed. */
export interface TokenCredentials {
  readonly mechanism: string
  /** Must be the name in the token; '' is whoever that is. */
  readonly username: string
  readonly token: string
}

export type Credentials =
  | PasswordCredentials
  | CertificateCredentials
  | ProofCredentials
  | TokenCredentials

/** What the socket says. */
export interface Peer {
  readonly address: string
  /** Whether the connection comes from this machine. */
  readonly loopback: boolean
  /** The name in the client certificate that TLS verified. */
  readonly certificateName?: string | null
}
