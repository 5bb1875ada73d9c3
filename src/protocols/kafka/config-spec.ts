/** Numbers of `DescribeConfigs`, `ConfigDef.Type`. */
export const CONFIG_TYPE: {
  readonly BOOLEAN: 1
  readonly STRING: 2
  readonly INT: 3
  readonly LONG: 5
  readonly DOUBLE: 6
  readonly LIST: 7
} = { BOOLEAN: 1, STRING: 2, INT: 3, LONG: 5, DOUBLE: 6, LIST: 7 }
type ConfigType = (typeof CONFIG_TYPE)[keyof typeof CONFIG_TYPE]

/** One setting of a topic, a group or the broker. */
export interface ConfigSpec {
  readonly name: string
  readonly type: ConfigType
  readonly defaultValue: string
  readonly documentation: string
  /** A sentence of what is wrong with a value, in Kafka's words; null: nothing. */
  readonly fault: (value: string) => string | null
}

/** Settings by name: what was set is a map, the rest has its default. */
export class ConfigTable {
  readonly specs: readonly ConfigSpec[]
  /** In messages: 'topic', 'group'. */
  readonly #kind: string
  readonly #byName: ReadonlyMap<string, ConfigSpec>

  constructor(kind: string, specs: readonly ConfigSpec[]) {
    this.#kind = kind
    this.specs = specs
    this.#byName = new Map(specs.map((spec) => [spec.name, spec]))
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** Why this cannot be the value of that setting, in Kafka's words; null: it can. */
  fault(name: string, value: string | null): string | null {
    const spec = this.#byName.get(name)
    if (spec === undefined) return `Unknown ${this.#kind} config name: ${name}`
    if (value === null) return `Null value not supported for ${this.#kind} configs: ${name}`
    return spec.fault(value)
  }

  /** A value that was set, or its default. */
  value(config: ReadonlyMap<string, unknown>, name: string): string {
    const value = config.get(name)
    return typeof value === 'string' ? value : this.#byName.get(name)!.defaultValue
  }

  number(config: ReadonlyMap<string, unknown>, name: string): number {
    return Number(this.value(config, name))
  }

  /** The parts of a value that is a list. */
  list(config: ReadonlyMap<string, unknown>, name: string): string[] {
    const value = this.value(config, name).trim()
    return value === '' ? [] : value.split(',').map((part) => part.trim())
  }

  isList(name: string): boolean {
    return this.#byName.get(name)?.type === CONFIG_TYPE.LIST
  }

  /** What of a map was set by one of these names. */
  set(config: ReadonlyMap<string, unknown>): Map<string, string> {
    const found = new Map<string, string>()
    for (const [name, value] of config) {
      if (this.has(name) && typeof value === 'string') found.set(name, value)
    }
    return found
  }
}

// --- kinds of values ---

const INT_MAX = 2_147_483_647

function invalid(name: string, value: string, reason: string): string {
  return `Invalid value ${value} for configuration ${name}: ${reason}`
}

export function long(
  name: string,
  defaultValue: string,
  min: number,
  documentation: string,
): ConfigSpec {
  return { ...whole(name, min, Infinity), defaultValue, documentation, type: CONFIG_TYPE.LONG }
}

export function int(
  name: string,
  defaultValue: string,
  min: number,
  documentation: string,
): ConfigSpec {
  return { ...whole(name, min, INT_MAX), defaultValue, documentation, type: CONFIG_TYPE.INT }
}

function whole(name: string, min: number, max: number): Pick<ConfigSpec, 'name' | 'fault'> {
  return {
    name,
    fault: (value) => {
      if (!/^-?\d{1,19}$/.test(value) || Number(value) > max) {
        return invalid(name, value, 'Not a number of type LONG')
      }
      return Number(value) < min ? invalid(name, value, `Value must be at least ${min}`) : null
    },
  }
}

export function ratio(name: string, defaultValue: string, documentation: string): ConfigSpec {
  return {
    ...{ name, defaultValue, documentation, type: CONFIG_TYPE.DOUBLE },
    fault: (value) => {
      const number = Number(value)
      return value !== '' && number >= 0 && number <= 1
        ? null
        : invalid(name, value, 'Value must be between 0 and 1')
    },
  }
}

export function bool(name: string, defaultValue: string, documentation: string): ConfigSpec {
  return {
    ...{ name, defaultValue, documentation, type: CONFIG_TYPE.BOOLEAN },
    fault: (value) =>
      /^(true|false)$/i.test(value)
        ? null
        : invalid(name, value, 'Expected value to be either true or false'),
  }
}

export function text(name: string, defaultValue: string, documentation: string): ConfigSpec {
  return { name, defaultValue, documentation, type: CONFIG_TYPE.LIST, fault: () => null }
}

export function choice(
  name: string,
  defaultValue: string,
  values: readonly string[],
  documentation: string,
): ConfigSpec {
  return {
    ...{ name, defaultValue, documentation, type: CONFIG_TYPE.STRING },
    fault: (value) =>
      values.includes(value)
        ? null
        : invalid(name, value, `String must be one of: ${values.join(', ')}`),
  }
}

export function list(
  name: string,
  defaultValue: string,
  values: readonly string[],
  documentation: string,
): ConfigSpec {
  return {
    ...{ name, defaultValue, documentation, type: CONFIG_TYPE.LIST },
    fault: (value) => {
      const parts = value.split(',').map((part) => part.trim())
      return parts.length > 0 && parts.every((part) => values.includes(part))
        ? null
        : invalid(name, value, `String must be one of: ${values.join(', ')}`)
    },
  }
}
