const SERVICE_NAME = /^[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*$/
const OWN_PACKAGE = 'waystation.rpc.'

/** Whether a service can have this name: `package.Service`. */
export function isServiceName(name: string): boolean {
  return SERVICE_NAME.test(name)
}

/** Services of the broker itself are provided by nobody else. */
export function isOwnService(name: string): boolean {
  return name.startsWith(OWN_PACKAGE)
}
