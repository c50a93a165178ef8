/** The command line as a client of an identity provider: public, authorization code with PKCE (RFC 8252, RFC 7636). */
export const cliClient = 'leasehold-cli'
export const cliScope = 'openid email profile leasehold'
